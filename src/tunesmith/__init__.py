"""An asynchronous SDK for the fine-tuning life cycle of GPT models and for batch jobs."""
