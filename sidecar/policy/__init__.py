"""Policy files to verdicts. Pure: time is an argument."""
