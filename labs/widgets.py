"""A slider that screen readers can name. That of ipywidgets has a handle without a name, and no way to give it one."""

from typing import Any

import anywidget
import traitlets

# The browser's own slider: it has a label, follows the keyboard, and takes the theme's colours.
SCRIPT = """
function render({ model, el }) {
    const label = document.createElement("label");
    const text = document.createElement("span");
    const range = document.createElement("input");
    const shown = document.createElement("output");
    label.className = "aurora-slider";
    range.type = "range";
    const name = () => {
        text.textContent = model.get("description");
        range.setAttribute("aria-label", model.get("description"));
        range.disabled = model.get("disabled");
    };
    const place = () => {
        for (const key of ["min", "max", "step"]) range[key] = model.get(key);
        range.value = model.get("value");
        shown.textContent = range.value;
    };
    range.addEventListener("input", () => {
        shown.textContent = range.value;
        if (model.get("continuous_update")) send();
    });
    range.addEventListener("change", send);
    function send() {
        model.set("value", Number(range.value));
        model.save_changes();
    }
    for (const key of ["min", "max", "step", "value"]) model.on(`change:${key}`, place);
    for (const key of ["description", "disabled"]) model.on(`change:${key}`, name);
    label.append(text, range, shown);
    el.append(label);
    name();
    place();
}
export default { render };
"""
STYLE = """
.aurora-slider { display: flex; align-items: center; gap: 8px; max-width: 560px; margin: 2px;
    color: var(--jp-content-font-color1, inherit); font-size: var(--jp-widgets-font-size, 13px); }
.aurora-slider span { min-width: 9em; text-align: right; }
.aurora-slider input { flex: 1; accent-color: var(--jp-brand-color1, #1976d2); }
.aurora-slider output { min-width: 4em; }
"""


class Slider(anywidget.AnyWidget):
    """A number between two others.

    Args:
        description: its name, shown beside it and told to screen readers.
        value, min, max, step: whole numbers make whole numbers.
        continuous_update: whether `value` follows while the slider is dragged, or when it is let go.
    Raises:
        ValueError: the value is not between min and max.
    """

    _esm = SCRIPT
    _css = STYLE
    description = traitlets.Unicode().tag(sync=True)
    value = traitlets.Any(0).tag(sync=True)
    min = traitlets.Any(0).tag(sync=True)
    max = traitlets.Any(100).tag(sync=True)
    step = traitlets.Any(1).tag(sync=True)
    continuous_update = traitlets.Bool(True).tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, description: str, value: float, min: float, max: float, step: float = 1, **more: Any) -> None:
        super().__init__(description=description, value=value, min=min, max=max, step=step, **more)

    @traitlets.validate("value")
    def _between(self, proposal: Any) -> Any:
        number = proposal["value"]
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{self.description}: {number!r} is not a number")
        if not self.min <= number <= self.max:
            raise ValueError(f"{self.description}: {number} is not between {self.min} and {self.max}")
        return number

    @traitlets.observe("min", "max")
    def _follow(self, _change: Any) -> None:
        """Limits that move take the value along."""
        self.value = min(max(self.value, self.min), self.max)
