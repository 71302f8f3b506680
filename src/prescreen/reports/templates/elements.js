"use strict";
// What the scripts of all pages share: elements, files to save, tables as CSV. One file after the other makes one script.
// Texts only ever enter a page through textContent.

const byId = (id) => document.getElementById(id);
const make = (tag, className = "", ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
};
const say = (text) => { byId("live").textContent = text; };
const download = (blob, name) => {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
};

// A spreadsheet runs a cell that starts like a formula: such texts get an apostrophe in front, and so does what follows
// a semicolon, a tab or a line break in them, where it may divide them. The rule is that of prescreen.storage.tables.
const sign = /^[ '"\x0b\x0c\x1c-\x1f\x85\xa0\u1680\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*[=+\-@＝＋－＠﹦﹢﹣﹫\u2212]/;
const defused = (text) => (/^'*[\t\r\n]/.test(text) ? "'" : "")
  + text.split(/([;\t\r\n])/).map((part) => (sign.test(part) ? "'" + part : part)).join("");
const cell = (value) => {
  if (typeof value === "number") return String(value);
  const text = defused(value);
  return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
};
const csvText = (lines) => lines.map((line) => line.map(cell).join(",") + "\n").join("");
