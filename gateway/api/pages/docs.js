"use strict";
// The token is kept in this variable and nowhere else; whatever came from the gateway is set as text, never as HTML.
let token = "";
let document_ = null;
let chosen = "";

const byId = (id) => document.getElementById(id);
const ROWS_SHOWN = 200;
const TEXT_SHOWN = 200000;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function say(text, isPlain) {
  byId("notice").textContent = text;
  byId("notice").className = isPlain ? "plain" : "";
}

async function ask(path, options) {
  return fetch(path, {...options, headers: {...(options || {}).headers, Authorization: `Bearer ${token}`}, credentials: "omit", cache: "no-store"});
}

async function load() {
  token = byId("token").value.trim();
  byId("page").hidden = byId("download").hidden = true;
  if (!token) return say("Give a token: every endpoint it may read is listed here.", true);
  say("Loading…", true);
  try {
    const answer = await ask("/v0/pipes/openapi.json");
    const found = await answer.json();
    if (!answer.ok) return say(found.error || `The gateway answers ${answer.status}`);
    document_ = found;
  } catch {
    return say("The gateway does not answer.");
  }
  const names = endpoints().map((each) => each.name);
  byId("title").textContent = document.title = document_.info.title;
  byId("download").hidden = false;
  if (!names.length) return say("This token reads no published endpoint.", true);
  say("");
  byId("page").hidden = false;
  list();
  show(names.includes(wanted()) ? wanted() : names[0]);
}

function wanted() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

function endpoints() {
  return Object.entries(document_.paths).map(([path, item]) => ({path, call: item.get, name: item.get.operationId}));
}

function list() {
  const sought = byId("filter").value.trim().toLowerCase();
  const fits = (each) => `${each.name} ${each.call.description || ""}`.toLowerCase().includes(sought);
  byId("list").replaceChildren(...endpoints().filter(fits).map((each) => make("li", {}, make("a", {
    href: `#${encodeURIComponent(each.name)}`, "aria-current": each.name === chosen ? "true" : null,
  }, each.name))));
}

function show(name) {
  const found = endpoints().find((each) => each.name === name);
  if (!found) return;
  chosen = name;
  list();
  const fields = (found.call.parameters || []).map(field);
  const format = make("select", {"aria-label": "Format", onchange: () => refresh()},
    ...["json", "csv", "ndjson"].map((each) => make("option", {}, each)));
  const command = make("pre", {});
  const result = make("section", {"aria-live": "polite"});
  const path = () => found.path.replace(/json$/, format.value) + query(fields);
  const refresh = () => { command.textContent = curl(path()); };
  const form = make("form", {onsubmit: (event) => { event.preventDefault(); send(path(), format.value, result, form); }, oninput: refresh},
    make("h3", {}, "Parameters"),
    fields.length ? make("div", {class: "parameters"}, ...fields.map((each) => each.row))
      : make("p", {class: "soft"}, "This endpoint takes no parameters."),
    make("div", {class: "send"}, make("button", {class: "main"}, "Try it"), format));
  refresh();
  byId("endpoint").replaceChildren(
    make("h2", {}, name),
    found.call.description ? make("p", {class: "what"}, found.call.description) : "",
    make("div", {class: "address mono"}, make("b", {}, "GET"), make("span", {}, location.origin + found.path)),
    form,
    make("div", {class: "line"}, make("h3", {}, "Command"), copyButton(() => command.textContent)), command, result);
  window.scrollTo(0, 0);
}

function field(parameter) {
  const schema = parameter.schema || {};
  const id = `p_${parameter.name}`;
  const shape = schema.type === "array" ? `list of ${kind(schema.items || {})}` : kind(schema);
  const options = schema.type === "boolean" ? ["true", "false"] : (schema.type === "array" ? null : schema.enum);
  const example = parameter.example ?? (schema.examples || [])[0] ?? (schema.format === "date" ? "2030-01-31" : undefined);
  const hint = schema.default !== undefined ? String(schema.default) : (example !== undefined ? `for example ${example}` : "");
  const input = options
    ? make("select", {id}, make("option", {value: ""}, hint && schema.default !== undefined ? `default: ${hint}` : "not sent"), ...options.map((each) => make("option", {value: String(each)}, String(each))))
    : make("input", {id, placeholder: schema.type === "array" ? (hint || "separated by commas") : hint, autocomplete: "off", spellcheck: "false", inputmode: ["integer", "number"].includes(schema.type) ? "decimal" : "text"});
  const row = make("div", {class: "parameter"},
    make("label", {for: id}, make("code", {}, parameter.name), parameter.required ? make("small", {class: "needed"}, " required") : "", make("span", {}, make("small", {}, shape))),
    make("div", {}, input, parameter.description ? make("p", {}, parameter.description) : ""));
  return {name: parameter.name, input, row};
}

function kind(schema) {
  return schema["x-clickhouse-type"] || schema.format || schema.type || "JSON";
}

function query(fields) {
  const sent = fields.filter((each) => each.input.value !== "").map((each) => `${encodeURIComponent(each.name)}=${encodeURIComponent(each.input.value)}`);
  return sent.length ? `?${sent.join("&")}` : "";
}

function curl(path) {
  // What encodeURIComponent leaves and a shell would read: a quote.
  return `curl -H "Authorization: Bearer $TOKEN" \\\n  '${(location.origin + path).replace(/'/g, "%27")}'`;
}

function copyButton(text) {
  const button = make("button", {type: "button", onclick: async () => {
    try { await navigator.clipboard.writeText(text()); button.textContent = "Copied"; } catch { button.textContent = "Not possible here"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }}, "Copy");
  return button;
}

async function send(path, format, result, form) {
  const button = form.querySelector("button.main");
  button.disabled = true;
  result.replaceChildren(make("p", {class: "soft"}, "Waiting…"));
  const began = performance.now();
  try {
    const answer = await ask(path);
    const text = await answer.text();
    const took = Math.round(performance.now() - began);
    result.replaceChildren(...shown(answer, text, format, took));
  } catch {
    result.replaceChildren(make("p", {class: "bad"}, "The gateway does not answer."));
  }
  button.disabled = false;
}

function shown(answer, text, format, took) {
  let body = null;
  if (format === "json" || !answer.ok) { try { body = JSON.parse(text, exact); } catch { body = null; } }
  const head = make("div", {class: "line"}, make("h3", {}, "Answer"), make("span", {},
    make("span", {class: answer.ok ? "good" : "bad"}, `${answer.status} ${answer.statusText}`),
    make("span", {class: "soft"}, ` · ${took} ms${note(body)}`)));
  const raw = make("pre", {}, cut(text));
  if (!answer.ok || !body || !Array.isArray(body.data) || !Array.isArray(body.meta)) return [head, raw];
  const rows = table(body);
  raw.hidden = true;
  const turn = make("button", {type: "button", onclick: () => {
    raw.hidden = !raw.hidden;
    rows.hidden = !raw.hidden;
    turn.textContent = raw.hidden ? "Show JSON" : "Show table";
  }}, "Show JSON");
  return [head, make("div", {class: "send"}, turn, copyButton(() => text)), rows, raw];
}

// An integer that JavaScript would round is kept as it was written.
function exact(key, value, context) {
  const isRounded = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isRounded && context ? context.source : value;
}

function note(body) {
  if (!body || body.rows === undefined) return "";
  const read = body.statistics ? `, ${Number(body.statistics.rows_read).toLocaleString()} read` : "";
  return ` · ${Number(body.rows).toLocaleString()} ${body.rows === 1 ? "row" : "rows"}${read}`;
}

function table(body) {
  const isNumber = (type) => /^(Nullable\()?(U?Int|Float|Decimal)/.test(type);
  const rows = body.data.slice(0, ROWS_SHOWN).map((row) => make("tr", {}, ...body.meta.map((each) => cell(row[each.name], isNumber(each.type)))));
  const more = body.data.length - rows.length;
  return make("div", {class: "scroll", tabindex: "0"}, make("table", {},
    make("thead", {}, make("tr", {}, ...body.meta.map((each) => make("th", {scope: "col"}, each.name, make("span", {}, each.type))))),
    make("tbody", {}, ...rows, more > 0 ? make("tr", {}, make("td", {colspan: body.meta.length, class: "nothing"}, `${more.toLocaleString()} more rows`)) : "")));
}

function cell(value, isNumber) {
  if (value === null || value === undefined) return make("td", {class: "nothing"}, "null");
  if (isNumber) return make("td", {class: "number"}, String(value));
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return make("td", {title: text.length > 60 ? text.slice(0, 2000) : null}, text.slice(0, 1000));
}

function cut(text) {
  return text.length > TEXT_SHOWN ? `${text.slice(0, TEXT_SHOWN)}\n… ${text.length - TEXT_SHOWN} characters more` : text;
}

function download() {
  const address = URL.createObjectURL(new Blob([JSON.stringify(document_, null, 2)], {type: "application/json"}));
  make("a", {href: address, download: "openapi.json"}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

byId("access").addEventListener("submit", (event) => { event.preventDefault(); load(); });
byId("filter").addEventListener("input", list);
byId("download").addEventListener("click", download);
window.addEventListener("hashchange", () => { if (document_) show(wanted()); });

// A token in the address is taken out of it at once: not in the history, not in a bookmark, not in a screenshot.
const given = new URLSearchParams(location.search).get("token");
if (given !== null) {
  history.replaceState(null, "", location.pathname + location.hash);
  byId("token").value = given;
}
load();
