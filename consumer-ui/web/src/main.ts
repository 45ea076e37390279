/** The dashboard: store, live connection, frame, one page at a time. */

import { Live } from "./api";
import { App } from "./app";
import { Keys, listen } from "./keyboard";
import { Store } from "./store";

const store = new Store();
const live = new Live(store);
const app = new App(store, live);
listen(new Keys(app.bindings));
app.start();
live.start();
