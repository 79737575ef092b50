/** Answers as HTML: Markdown without raw HTML, links that lead nowhere, code in colours, citations as buttons. */
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import ini from 'highlight.js/lib/languages/ini';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import kotlin from 'highlight.js/lib/languages/kotlin';
import lua from 'highlight.js/lib/languages/lua';
import php from 'highlight.js/lib/languages/php';
import python from 'highlight.js/lib/languages/python';
import ruby from 'highlight.js/lib/languages/ruby';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import swift from 'highlight.js/lib/languages/swift';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';
import MarkdownIt from 'markdown-it';
import type { Citation } from '../src/chat/messages.ts';

const languages = {
  bash, c, cpp, csharp, css, diff, go, ini, java, javascript, json, kotlin, lua, php, python, ruby, rust, sql, swift,
  typescript, xml, yaml,
};
for (const [name, language] of Object.entries(languages)) {
  hljs.registerLanguage(name, language);
}

const markdown = new MarkdownIt({
  html: false,
  linkify: false,
  highlight: (code, name) => (hljs.getLanguage(name) ? hljs.highlight(code, { language: name }).value : ''),
});
// What a model writes as a link or picture is shown as text with its address: nothing in an answer leads elsewhere.
markdown.disable(['image', 'autolink']);
markdown.renderer.rules.link_open = () => '';
markdown.renderer.rules.link_close = (tokens, index) => {
  const opening = tokens.slice(0, index).reverse().find((token) => token.type === 'link_open');
  const address = String(opening?.attrGet('href') ?? '');
  return address ? ` <span class="address">(${markdown.utils.escapeHtml(address)})</span>` : '';
};

/** Render into an element; `citations` say which `[3]` and `path:12-20` are places to open. */
export function render(into: HTMLElement, text: string, citations: readonly Citation[], open: (citation: Citation) => void): void {
  into.innerHTML = markdown.render(text);
  if (citations.length) {
    for (const node of texts(into)) {
      link(node, citations, open);
    }
  }
}

/** Text outside blocks of code; in backticks, models write places too. */
function texts(root: HTMLElement): Text[] {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found: Text[] = [];
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement?.closest('pre')) {
      found.push(walker.currentNode as Text);
    }
  }
  return found;
}

function link(node: Text, citations: readonly Citation[], open: (citation: Citation) => void): void {
  const parts: (Node | string)[] = [];
  let end = 0;
  for (const match of node.data.matchAll(/\[(\d+)\]|([\w@./-]+):(\d+)(?:-(\d+))?/g)) {
    const citation = place(match, citations);
    if (citation) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'citation';
      button.textContent = match[0];
      button.title = named(citation);
      button.addEventListener('click', () => open(citation));
      parts.push(node.data.slice(end, match.index), button);
      end = match.index + match[0].length;
    }
  }
  if (end) {
    node.replaceWith(...parts, node.data.slice(end));
  }
}

function place(match: RegExpMatchArray, citations: readonly Citation[]): Citation | undefined {
  const [, number, path, start, end] = match;
  if (number) {
    return citations.find((one) => one.number === Number(number));
  }
  const first = Number(start);
  const within = citations.find((one) => one.path === path && first >= one.start_line && first <= one.end_line);
  return within && { ...within, start_line: first, end_line: end ? Number(end) : first };
}

/** A place as people write it. */
export function named({ path, start_line, end_line }: Citation): string {
  return `${path}:${start_line}${end_line > start_line ? `-${end_line}` : ''}`;
}
