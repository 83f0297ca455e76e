"""Engine of Hugging Face models: training and sampling in processes of their own.

No module of this package imports torch: the process of the service needs only `tokenizers` and
`jinja2`. The processes are in `tunesmith.train`.
"""
