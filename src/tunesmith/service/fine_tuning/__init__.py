"""The fine-tuning API of the service: jobs, lifecycles, checkpoints, graders."""
