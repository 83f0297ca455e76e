"""Telemetry by OpenTelemetry's conventions for generative AI; needs the extra `otel`.

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
    """Make a client whose calls, streams, jobs and batches leave spans and metrics.

    Calls of a client that is not instrumented cost nothing more than before.

    Args:
        client: The client; its connections are shared.
        tracer_provider: Where spans go; by default the global provider.
        meter_provider: Where metrics go; by default the global provider.
        provider_name: Who serves the models, such as `openai` or `azure.ai.openai`.
        capture_content: Whether spans hold prompts and answers; they may be confidential.

    Returns:
        Another client, to be used in the place of the first; closing it closes the connections.

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
