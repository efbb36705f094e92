"""What a model is asked: prompts, their options, and the journal of answers."""
