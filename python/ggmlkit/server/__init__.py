"""An HTTP server for models, with the APIs of OpenAI, Anthropic and llama-server.

``ggmlkit serve`` runs it. ``ggmlkit.server.app.create_app`` gives the application to other ASGI
servers. It needs the extra ``server``.
"""
