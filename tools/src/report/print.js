// Paper has no clicks: what is closed is opened for printing, logs excepted, and closed again.
const closed = () => document.querySelectorAll('details:not(.log):not(.test):not([open])');
let opened = [];
addEventListener('beforeprint', () => { opened = [...closed()]; opened.forEach((d) => { d.open = true; }); });
addEventListener('afterprint', () => { opened.forEach((d) => { d.open = false; }); });
