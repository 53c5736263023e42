// What every page has: the theme, times, keys, dialogs, copying, and live fragments.
import { morph } from "./morph.js";

const root = document.documentElement;

// Theme: the choice is a cookie, so that the server sends the right page and nothing flashes.
function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `serin_theme=${root.dataset.theme}; path=/console/; max-age=31536000; samesite=strict`;
  dispatchEvent(new Event("themechange"));
}
document.getElementById("theme")?.addEventListener("click", switchTheme);

// Times: the server writes UTC, people read how long ago it was.
const units = [[60, "second"], [3600, "minute"], [86400, "hour"], [7 * 86400, "day"]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
function showTimes(within = document) {
  const now = Date.now();
  for (const el of within.querySelectorAll("time[datetime]")) {
    const at = new Date(el.dateTime);
    const ago = (now - at) / 1000;
    const unit = units.findIndex(([most]) => Math.abs(ago) < most);
    const text = unit < 0 ? at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })
      : unit === 0 && Math.abs(ago) < 10 ? "just now"
        : relative.format(-Math.round(ago / (unit === 0 ? 1 : units[unit - 1][0])), units[unit][1]);
    if (el.textContent !== text) el.textContent = text;
    if (!el.title) el.title = at.toLocaleString();
  }
}
showTimes();
setInterval(showTimes, 15_000);

function toast(text) {
  const el = document.getElementById("toast");
  el.textContent = text;
  setTimeout(() => { if (el.textContent === text) el.textContent = ""; }, 2500);
}

// A link that begins a session carries its secret behind #, which no server sees and no other page gets to know.
const login = document.getElementById("login");
function redeem() {
  if (!login || location.hash.length < 2) return;
  login.elements.link.disabled = false;
  login.elements.link.value = location.hash.slice(1);
  for (const name of ["key", "secret"]) login.elements[name].disabled = true;
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("redeeming").hidden = false;
  login.hidden = true;
  login.submit();
}
redeem();
addEventListener("hashchange", redeem);

// Dialogs: an address that shows what an action will do is shown over the page. Without this script it is a page.
const dialog = document.getElementById("dialog");
async function openDialog(url, options) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname === "/console/login") return location.assign(answer.url);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const content = page.querySelector("main .single");
  if (answer.redirected || !content) return location.assign(answer.url);
  dialog.replaceChildren(document.adoptNode(content));
  dialog.dataset.url = answer.url;
  showTimes(dialog);
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
  dispatchEvent(new CustomEvent("contentchange", { detail: dialog }));
}
addEventListener("click", (e) => {
  const link = e.target.closest?.("a[data-dialog]");
  if (link && dialog && !e.ctrlKey && !e.metaKey && !e.shiftKey && e.button === 0) {
    e.preventDefault();
    link.closest("details.menu")?.removeAttribute("open");
    openDialog(link.href);
  }
  if (e.target === dialog) dialog.close();
  if (e.target.closest?.("[data-close]")) { if (dialog?.open) dialog.close(); else history.back(); }
  const copy = e.target.closest?.("[data-copy]");
  if (copy) navigator.clipboard.writeText(copy.dataset.copy || copy.parentElement.querySelector("code").textContent).then(() => toast("Copied"));
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(e.target)) menu.open = false;
});
addEventListener("submit", (e) => {
  const form = e.target;
  for (const button of form.querySelectorAll("button[type=submit]")) setTimeout(() => { button.disabled = true; }); // once
  if (!dialog?.contains(form) || form.method === "dialog" || form.enctype === "multipart/form-data") return;
  e.preventDefault();
  const fields = new URLSearchParams(new FormData(form, e.submitter));
  const action = form.getAttribute("action") || dialog.dataset.url;
  if (form.method === "get") openDialog(`${action.split("?")[0]}?${fields}`);
  else openDialog(action, { method: "POST", body: fields });
});

// The form of an alias: the slider, the number and the resource follow each other.
function showWeights(form) {
  const f = form.elements;
  const none = f.additional.value === "";
  form.querySelector("[data-weight]").hidden = none;
  const properties = { FunctionName: document.getElementById("main").dataset.function, FunctionVersion: f.version.value, Name: f.name?.value ?? form.dataset.alias };
  if (f.description.value) properties.Description = f.description.value;
  if (!none) properties.RoutingConfig = { AdditionalVersionWeights: [{ FunctionVersion: f.additional.value, FunctionWeight: Number((Number(f.percent.value) / 100).toPrecision(12)) }] };
  f.resource.value = JSON.stringify({ Type: "AWS::Lambda::Alias", Properties: properties }, null, 2);
}
addEventListener("input", (e) => {
  const form = e.target.closest?.("form[data-alias]");
  if (!form) return;
  const f = form.elements;
  if (e.target.matches("[data-slider]")) f.percent.value = e.target.value;
  if (e.target === f.percent) form.querySelector("[data-slider]").value = f.percent.value;
  if (e.target !== f.resource) return showWeights(form);
  try { // the text leads as far as it can be read; the server says what is wrong with the rest
    const p = JSON.parse(f.resource.value).Properties;
    const weights = p.RoutingConfig?.AdditionalVersionWeights ?? [];
    const [version, weight] = Array.isArray(weights) ? [weights[0]?.FunctionVersion, weights[0]?.FunctionWeight] : Object.entries(weights)[0] ?? [];
    f.version.value = p.FunctionVersion;
    f.additional.value = version ?? "";
    form.querySelector("[data-weight]").hidden = !version;
    f.percent.value = form.querySelector("[data-slider]").value = 100 * (weight ?? 0);
  } catch { /* half typed */ }
});
function prepare(within) {
  for (const form of within.querySelectorAll("form[data-alias]")) form.querySelector("[data-weight]").hidden = form.elements.additional.value === "";
}
prepare(document);
addEventListener("contentchange", (e) => prepare(e.detail));

// Keys.
let going = false;
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest?.("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
  const go = going;
  going = false;
  const act = {
    "/": () => document.getElementById("find")?.focus(), "?": () => document.getElementById("help")?.showModal(), t: switchTheme,
    g: () => { going = true; }, r: () => document.querySelector("[data-key=r]")?.click(), s: () => document.querySelector("[data-key=s]")?.click(),
    f: null, a: null,
  };
  if (go) Object.assign(act, { f: () => location.assign("/console/"), s: () => location.assign("/console/settings"), a: () => location.assign("/console/alarms") });
  if (act[e.key]) { e.preventDefault(); act[e.key](); }
});

// Live fragments.
const light = document.getElementById("live");
if (document.body.dataset.live) {
  const source = new EventSource("/console/live?topic=" + encodeURIComponent(document.body.dataset.live));
  source.onopen = () => { light.hidden = false; light.classList.remove("lost"); light.lastElementChild.textContent = "live"; };
  source.onerror = () => { light.hidden = false; light.classList.add("lost"); light.lastElementChild.textContent = source.readyState === 2 ? "not live" : "reconnecting"; };
  source.addEventListener("ended", () => { source.close(); location.assign("/console/login?next=" + encodeURIComponent(location.pathname + location.search)); });
  source.addEventListener("fragments", (e) => {
    for (const { id, html } of JSON.parse(e.data)) {
      const old = document.getElementById(id);
      if (!old) continue;
      const template = document.createElement("template");
      template.innerHTML = html;
      morph(old, template.content.firstElementChild);
      showTimes(document.getElementById(id) ?? document);
    }
    dispatchEvent(new Event("fragments"));
  });
  addEventListener("pagehide", () => source.close());
}
