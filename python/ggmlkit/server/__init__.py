"""An HTTP server for models: OpenAI's API, and llama-server's endpoints, as an ASGI application.

``ggmlkit serve`` runs it. ``ggmlkit.server.app.create_app`` gives the application to other ASGI
servers. It needs the extra ``server``.
"""
