// The choice of a model.

import { models } from "./api.mjs";
import { byId, element } from "./dom.mjs";

export class ModelChoice {
  constructor(settings) {
    this.settings = settings;
    this.select = byId("model");
    this.select.addEventListener("change", () => settings.change({ model: this.select.value }));
  }

  // Asks the server which there are; throws ApiError.
  async load() {
    const names = await models(this.settings.key);
    const { model } = this.settings.values;
    const chosen = names.includes(model) ? model : names[0];
    const options = names.map((name) => element("option", { value: name }, name));
    this.select.replaceChildren(...options);
    this.select.value = chosen;
    this.settings.change({ model: chosen });
  }
}
