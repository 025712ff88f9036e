"""An HTTP server for models: the APIs of OpenAI and Anthropic on an ASGI application.

``ggmlkit serve`` runs it. ``ggmlkit.server.app.create_app`` gives the application to other ASGI
servers. It needs the extra ``server``.
"""
