"""The essence of real chat templates: how they show tools, and write calls and results."""

_CHATML_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_HERMES_CALL = (
    """{{ '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' """
    """+ (call.function.arguments | tojson) + '}\n</tool_call>' }}"""
)

CHATML = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}"
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response><|im_end|>\n"
    "{% else %}{{ '<|im_start|>' + m.role }}"
    "{% if m.content or not m.tool_calls %}{{ '\n' + THOUGHT + m.content }}{% endif %}"
    "{% for call in m.tool_calls or [] %}{{ '\n' }}"
    "{% if loop.first and not m.content %}{{ THOUGHT }}{% endif %}"
    f"{_HERMES_CALL}{{% endfor %}}{{{{ '<|im_end|>\n' }}}}{{% endif %}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_3 = "{% set THOUGHT = '<think>\n\n</think>\n\n' %}" + CHATML.replace(
    "THOUGHT +", "(THOUGHT if m.role == 'assistant' and loop.last else '') +"
)
LLAMA_3 = (
    "{{ bos_token }}{% if tools %}<|start_header_id|>system<|end_header_id|>\n\n"
    "{% for tool in tools %}{{ tool | tojson(indent=4) }}\n{% endfor %}<|eot_id|>{% endif %}"
    "{% for m in messages %}{% if m.tool_calls %}"
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('one call at once') }}{% endif %}"
    "{% set f = m.tool_calls[0].function %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% if builtin %}{{ '<|python_tag|>' }}{% endif %}"
    """{{ '{"name": "' + f.name + '", "parameters": ' }}{{ f.arguments | tojson }}{{ '}' }}"""
    "{{ '<|eot_id|>' }}"
    "{% else %}{{ '<|start_header_id|>' + ('ipython' if m.role == 'tool' else m.role) }}"
    "{{ '<|end_header_id|>\n\n' + (m.content | trim) + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
MISTRAL = (
    "{% if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "{% for m in messages %}"
    "{% if m.tool_calls is defined or m.tool_call_id is defined %}"
    "{% for call in m.tool_calls or [{'id': m.tool_call_id}] %}{% if call.id | length != 9 %}"
    "{{ raise_exception('Tool call IDs should have 9 characters') }}{% endif %}{% endfor %}"
    "{% endif %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% elif m.tool_calls %}[TOOL_CALLS] [{% for call in m.tool_calls %}"
    """{{ (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' }}"""
    "{{ ', ' if not loop.last else ']' }}{% endfor %}{{ eos_token }}"
    "{% elif m.role == 'tool' %}[TOOL_RESULTS] "
    """{{ {'content': m.content, 'call_id': m.tool_call_id} | tojson }}[/TOOL_RESULTS]"""
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
GLM = (
    "{% if tools %}<|system|>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|observation|>\n"
    "<tool_response>{{ m.content }}</tool_response>"
    "{% else %}<|{{ m.role }}|>{% if m.content %}{{ '\n' + m.content }}{% endif %}{% endif %}"
    "{% for call in m.tool_calls or [] %}{{ '\n<tool_call>' + call.function.name }}"
    "{% for key, value in call.function.arguments.items() %}"
    "{{ '\n<arg_key>' + key + '</arg_key>\n<arg_value>' }}"
    "{{ value if value is string else value | tojson }}{{ '</arg_value>' }}{% endfor %}"
    "{{ '\n</tool_call>' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
QWEN_CODER = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}"
    "{% for call in m.tool_calls or [] %}{{ '\n' if m.content or not loop.first }}"
    "{{ '<tool_call>\n<function=' + call.function.name + '>\n' }}"
    "{% for key, value in call.function.arguments.items() %}{{ '<parameter=' + key + '>\n' }}"
    "{% if value is mapping or (value is sequence and value is not string) %}"
    "{{ value | tojson }}{% else %}{{ value | string }}{% endif %}{{ '\n</parameter>\n' }}"
    "{% endfor %}{{ '</function>\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FUNCTION_GEMMA = (
    "{% if tools %}<start_of_turn>developer\n{% for tool in tools %}<start_function_declaration>"
    "{{ tool.function.name }}<end_function_declaration>{% endfor %}<end_of_turn>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<start_function_response>response:"
    "{{ m.name + '{value:' }}<escape>{{ m.content }}<escape>{{ '}' }}<end_function_response>"
    "{% else %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}"
    "{{ m.content }}{% for call in m.tool_calls or [] %}"
    "{{ '<start_function_call>call:' + call.function.name + '{' }}"
    "{% for key, value in call.function.arguments | dictsort %}{{ key + ':' }}"
    "{% if value is string %}{{ '<escape>' + value + '<escape>' }}{% elif value is mapping %}?"
    "{% else %}{{ value | tojson }}{% endif %}{{ ',' if not loop.last }}{% endfor %}"
    "{{ '}<end_function_call>' }}{% endfor %}{{ '<end_of_turn>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
DEEPSEEK = (
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for m in messages %}"
    "{% if m.role == 'assistant' and m.content is none %}<|Assistant|><|calls|>"
    "{% for call in m.tool_calls %}<|call|>{{ 'function<|sep|>' + call.function.name }}"
    "{{ '\n```json\n' + call.function.arguments + '\n```<|end_call|>' }}{% endfor %}"
    "<|end_calls|><|end|>"
    "{% elif m.role == 'assistant' %}<|Assistant|>{{ m.content }}<|end|>"
    "{% else %}<|User|>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>{% endif %}"
)

TEMPLATES = {
    "chatml": ("{% set THOUGHT = '' %}" + CHATML, _CHATML_SPECIAL, "<|im_end|>"),
    "qwen 3": (QWEN_3, _CHATML_SPECIAL, "<|im_end|>"),
    "llama 3": (
        LLAMA_3,
        ("<eos>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"),
        "<|eot_id|>",
    ),
    "mistral": (
        MISTRAL,
        ("</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        "</s>",
    ),
    "glm": (GLM, ("<eos>", "<|user|>", "<|assistant|>", "<|observation|>"), "<|user|>"),
    "qwen coder": (QWEN_CODER, _CHATML_SPECIAL, "<|im_end|>"),
    "function gemma": (
        FUNCTION_GEMMA,
        (
            "<eos>",
            "<start_of_turn>",
            "<end_of_turn>",
            "<start_function_call>",
            "<end_function_call>",
            "<escape>",
        ),
        "<end_of_turn>",
    ),
    "deepseek": (
        DEEPSEEK,
        ("<eos>", "<|calls|>", "<|call|>", "<|sep|>", "<|end_call|>", "<|end_calls|>", "<|end|>"),
        "<|end|>",
    ),
}
"""Templates with their special tokens, and the token that ends a turn."""
