"""Training and sampling of Hugging Face models, in processes of their own.

`python -m tunesmith.train JOBDIR` trains by the files of a folder; the service starts it for each
job. All modules need torch; those that do not are in `tunesmith.service.engines.transformers`.
"""
