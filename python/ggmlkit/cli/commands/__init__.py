"""The subcommands, one module each: what `ggmlkit.cli.app.Command` says.

Imports inside functions of these modules defer libraries (numpy, the compiled core): a command
line that is wrong, or asks for help, is answered before they are loaded.
"""
