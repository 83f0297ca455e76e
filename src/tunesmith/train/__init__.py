"""Training and sampling of Hugging Face models, in processes of their own.

`python -m tunesmith.train JOBDIR` trains by the files of a folder; the service starts it for each
job. Only `__main__`, `trainer` and the modules that they import need torch.
"""
