// Looks at the page as a reader would, everything opened, and tells the page that holds it what is wrong.
(() => {
  const wrong = [];
  document.querySelectorAll('details').forEach((d) => { d.open = true; });
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth + 1) wrong.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  const numbers = (colour) => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((c) => { const x = c / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    if (e.matches('text.on-drain')) return getComputedStyle(document.querySelector('rect.drain-bar')).fill;
    if (e.matches('text.act-n')) return getComputedStyle(e.previousElementSibling).fill;
    for (let at = e; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const parts = numbers(colour);
      if (parts.length < 4 || parts[3] === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let texts = 0;
  const seen = new Set();
  document.querySelectorAll('body *').forEach((e) => {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const box = e.getBoundingClientRect();
    if (!own || !box.width || e.closest('title, script, style')) return;
    texts += 1;
    const style = getComputedStyle(e);
    const colour = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(colour), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = `${e.tagName}.${e.getAttribute('class') || ''}`;
    if (ratio < 4.5 && !seen.has(name)) { seen.add(name); wrong.push(`contrast ${ratio.toFixed(1)} of ${name}`); }
    if (e instanceof SVGElement && (box.left < -1 || box.right > root.clientWidth + 1)) wrong.push(`${name} is cut off`);
    if (parseFloat(style.fontSize) < 9.5) wrong.push(`${name} is too small`);
  });
  const figures = [...document.querySelectorAll('svg[role=img]')];
  figures.forEach((f) => {
    const box = f.getBoundingClientRect();
    if (box.width < 150 || box.height < 20) wrong.push(`a figure of ${box.width} by ${box.height}`);
    if (!document.getElementById(f.getAttribute('aria-labelledby'))) wrong.push('a figure without a name');
  });
  document.querySelectorAll('details').forEach((d) => { if (!d.querySelector('summary')) wrong.push('details without a summary'); });
  const fetched = performance.getEntriesByType('resource').length;
  if (fetched) wrong.push(`${fetched} things were fetched`);
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  parent.postMessage({ wrong, texts, figures: figures.length, width: root.clientWidth, dark }, '*');
})();
