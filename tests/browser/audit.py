"""What can be measured of a page's accessibility: Chromium's own accessibility tree, computed colours, and focus."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

OPERABLE = {
    "button", "link", "textbox", "searchbox", "checkbox", "switch", "radio", "combobox", "slider", "spinbutton",
    "treeitem", "tab", "menuitem", "option", "dialog", "progressbar", "image", "navigation", "complementary",
}  # fmt: skip
"""Roles that are nothing without a name."""


async def nameless(page: Page) -> list[str]:
    """Elements that a screen reader would announce by their role alone."""
    session = await page.context.new_cdp_session(page)
    tree = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    found = []
    for node in tree:
        role = node.get("role", {}).get("value", "")
        if not node["ignored"] and role in OPERABLE and not node.get("name", {}).get("value", "").strip():
            element = await session.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})
            found.append(f"{role}: <{element['node']['localName']} {element['node'].get('attributes', [])}>")
    await session.detach()
    return found


STRUCTURE = """() => {
  const faults = [];
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`two elements with id ${id}`);
  for (const image of document.querySelectorAll('img:not([alt])')) faults.push(`img without alt: ${image.src}`);
  for (const inner of document.querySelectorAll(':is(button, a[href]) :is(button, a[href], input)')) {
    faults.push(`a control within a control: ${inner.outerHTML.slice(0, 120)}`);
  }
  if (document.querySelectorAll('main').length !== 1) faults.push('not exactly one main');
  if (!document.documentElement.lang) faults.push('no language');
  for (const one of document.querySelectorAll('[tabindex]')) if (one.tabIndex > 0) faults.push('a positive tabindex');
  for (const one of document.querySelectorAll('[aria-labelledby], [aria-describedby]')) {
    const named = `${one.getAttribute('aria-labelledby') ?? ''} ${one.getAttribute('aria-describedby') ?? ''}`.trim();
    for (const id of named.split(/\\s+/)) if (!document.getElementById(id)) faults.push(`nothing has id ${id}`);
  }
  return faults;
}"""


async def structure(page: Page) -> list[str]:
    faults: list[str] = await page.evaluate(STRUCTURE)
    return faults


PALE = """() => {
  const over = '.picture, .slot, .tray, .absent';
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const mixed = (top, under) => top.slice(0, 3).map((value, at) => value * top[3] + under[at] * (1 - top[3]));
  const under = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const layer = rgba(getComputedStyle(one).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((colour, layer) => mixed(layer, colour), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faults = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || element.closest(over) || element.closest(':disabled, option, noscript')) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const ground = under(element);
    const [light, dark] = [luminance(mixed(rgba(style.color), ground)), luminance(ground)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const words = `${text.data.trim().slice(0, 60)} (${element.className})`;
    if (ratio < (large ? 3 : 4.5)) faults.add(`${ratio.toFixed(2)}: ${words}`);
  }
  return [...faults];
}"""


async def pale(page: Page) -> list[str]:
    """Text below 4.5:1 (large: 3:1) on its ground; that over pictures has a shadow or scrim of its own."""
    faults: list[str] = await page.evaluate(PALE)
    return faults


FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const drawn = [one, ...one.querySelectorAll('*')].some((element) =>
    [null, '::before', '::after'].some((part) => {
      const style = getComputedStyle(element, part);
      const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
      const bordered = part !== null && style.content !== 'none' && parseFloat(style.borderTopWidth) >= 2;
      return outlined || bordered || style.boxShadow.includes('0px 0px 0px 2px');
    }),
  );
  const box = one.getBoundingClientRect();
  const [left, right] = [Math.max(0, box.left), Math.min(innerWidth, box.right)];
  const [top, bottom] = [Math.max(0, box.top), Math.min(innerHeight, box.bottom)];
  const there = right > left && bottom > top ? document.elementFromPoint((left + right) / 2, (top + bottom) / 2) : null;
  const seen = there !== null && (one.contains(there) || there.contains(one));
  const name = one.getAttribute('aria-label') ?? one.textContent.trim().slice(0, 40);
  return { name: `<${one.localName} class="${one.className}">${name}`, drawn, seen };
}"""


async def tab_through(page: Page, most: int = 60) -> tuple[int, list[str]]:
    """How many stops Tab makes from the top, and those at which nothing shows where one is, or something covers it."""
    faults: list[str] = []
    first: Any = None
    for stop in range(most):
        await page.keyboard.press("Tab")
        where = await page.evaluate(FOCUSED)
        if where is None or (where["name"] == first and stop > 3):
            return stop, faults
        first = first or where["name"]
        if not where["drawn"]:
            faults.append(f"no focus ring: {where['name']}")
        if not where["seen"]:
            faults.append(f"focused out of sight: {where['name']}")
    return most, faults
