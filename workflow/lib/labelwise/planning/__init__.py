"""What a config asks for, and what each file is made from; Snakemake imports it (stdlib only)."""
