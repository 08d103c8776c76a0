// Paper has no clicks: the steps are opened for printing and closed again. Logs and the figures' tables, whose numbers
// stand in the legends, stay as they are.
const closed = () => document.querySelectorAll('details.steps:not([open])');
let opened = [];
addEventListener('beforeprint', () => { opened = [...closed()]; opened.forEach((d) => { d.open = true; }); });
addEventListener('afterprint', () => { opened.forEach((d) => { d.open = false; }); });
