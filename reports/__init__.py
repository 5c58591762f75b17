"""Writers: one module per report format; they only read verdicts."""
