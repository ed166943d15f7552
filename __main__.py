"""`python -m perdure` is the command `perdure`."""

from perdure.app.main import main

main()
