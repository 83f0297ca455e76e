"""Tool calls in the texts of models, each in the spelling of its chat template."""
