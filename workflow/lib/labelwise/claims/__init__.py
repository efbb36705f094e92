"""The paper's claims as questions to a study's own numbers, one small function a claim."""
