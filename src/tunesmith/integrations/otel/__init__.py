"""OpenTelemetry spans and metrics by the conventions for generative AI; extra `otel`.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from tunesmith._extras import import_extra
from tunesmith.client import AsyncClient

__all__ = ["instrument"]


def instrument(
    client: AsyncClient,
    *,
    tracer_provider: object | None = None,
    meter_provider: object | None = None,
    provider_name: str = "openai",
    capture_content: bool = False,
) -> AsyncClient:
    """Return a client that records spans and metrics of calls, streams, jobs and batches.

    Clients that are not instrumented have no overhead.

    Args:
        client: The client; its connections are shared.
        tracer_provider: The tracer provider; default: the global one.
        meter_provider: The meter provider; default: the global one.
        provider_name: The provider of the models, such as `openai` or `azure.ai.openai`.
        capture_content: Whether spans hold prompts and responses, which may be confidential.

    Returns:
        A client to be used instead of the first; closing it closes the shared connections.

    Raises:
        ConfigurationError: opentelemetry-api is not installed.

    Example:
        ```python
        from tunesmith.integrations.otel import instrument

        client = instrument(client)
        await client.completions.create(model="davinci-002", prompt="Kant was")
        ```
    """
    import_extra("opentelemetry.trace", "otel", "Spans and metrics")
    from tunesmith.integrations.otel.caller import TracedCaller  # noqa: PLC0415 - an extra
    from tunesmith.integrations.otel.telemetry import Telemetry  # noqa: PLC0415 - an extra

    telemetry = Telemetry(
        tracer_provider,
        meter_provider,
        provider_name=provider_name,
        server=getattr(client.backend, "base_url", None),
        capture_content=capture_content,
    )
    return client.with_call_wrapper(lambda caller: TracedCaller(caller, telemetry))
