// All tests of the page's scripts in one process.
import "./units/answering.mjs";
import "./units/chats.mjs";
import "./units/events.mjs";
import "./units/inline.mjs";
import "./units/markdown.mjs";
import "./units/request.mjs";
import "./units/settings.mjs";
