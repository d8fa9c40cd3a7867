//! One tab: what a person sees and does in it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lacuna_brokers::wait::{self, DEADLINE};
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// How a tab looks at pages.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Width of what is seen, in CSS pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Whether the person prefers dark pages.
    pub dark: bool,
    /// Whether scripts run.
    pub scripts: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1280, height: 860, dark: false, scripts: true }
    }
}

/// The reader's zone in all tests: not UTC, and without a change of clocks.
pub const ZONE: &str = "Asia/Dubai";

/// A tab.
#[derive(Debug)]
pub struct Tab {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    sent: u64,
    /// Errors that the page has told its console.
    errors: Vec<String>,
    loaded: u64,
}

impl Tab {
    pub(crate) fn open(socket: &str, look: &Look) -> Self {
        let (socket, _) = tungstenite::connect(socket).expect("Chromium listens");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(DEADLINE)).expect("a socket has a timeout");
        }
        let mut tab = Self { socket, session: None, sent: 0, errors: Vec::new(), loaded: 0 };
        let context = tab.call("Target.createBrowserContext", &json!({}));
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = tab.call("Target.createTarget", &target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = tab.call("Target.attachToTarget", &attach);
        tab.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        let Look { width, height, dark, scripts } = *look;
        tab.resize(width, height);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        tab.call("Emulation.setEmulatedMedia", &json!({"features": feature}));
        tab.call("Emulation.setTimezoneOverride", &json!({"timezoneId": ZONE}));
        tab.call("Emulation.setScriptExecutionDisabled", &json!({"value": !scripts}));
        tab
    }

    /// Changes the size of what is seen.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Sends a command of the protocol; gives its result.
    ///
    /// # Panics
    /// If it fails.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let result = self.try_call(method, parameters);
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let command = Message::text(command.to_string());
        self.socket.send(command).map_err(|error| error.to_string())?;
        loop {
            let message = self.hear();
            if message["id"] == self.sent {
                let failed = !message["error"].is_null();
                return if failed {
                    Err(message.to_string())
                } else {
                    Ok(message["result"].clone())
                };
            }
        }
    }

    fn hear(&mut self) -> Value {
        let message = self.socket.read().expect("Chromium answers");
        let message: Value =
            serde_json::from_str(message.to_text().unwrap_or("null")).unwrap_or_default();
        let told = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded += 1,
            Some("Runtime.exceptionThrown") => self.errors.push(told.to_string()),
            Some("Log.entryAdded") if told["entry"]["level"] == "error" => {
                self.errors.push(told["entry"].to_string());
            }
            _ => {}
        }
        message
    }

    /// Goes to a page, and waits until it is there.
    pub fn go(&mut self, address: &str) {
        let before = self.loaded;
        self.call("Page.navigate", &json!({"url": address}));
        while self.loaded == before {
            self.hear();
        }
    }

    /// What an expression of the page's own language gives. Promises are awaited.
    ///
    /// # Panics
    /// If it throws.
    pub fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same; there is no answer where the page gives way to another one meanwhile.
    fn try_eval(&mut self, expression: &str) -> Result<Value, String> {
        let question =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.try_call("Runtime.evaluate", &question)?;
        if answer["exceptionDetails"].is_null() {
            Ok(answer["result"]["value"].clone())
        } else {
            Err(answer.to_string())
        }
    }

    /// The text that is seen of the first element that a selector takes, blanks as one.
    pub fn text(&mut self, selector: &str) -> String {
        let what = json!(selector);
        let text = self.eval(&format!("document.querySelector({what})?.innerText ?? null"));
        let text = text.as_str().unwrap_or_else(|| panic!("there is no {selector}"));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The texts of all that a selector takes.
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let what = json!(selector);
        let texts = self.eval(&format!(
            "[...document.querySelectorAll({what})].map((one) => one.innerText.replace(/\\s+/g, ' ').trim())"
        ));
        let texts = texts.as_array().expect("a list").iter();
        texts.map(|text| text.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, what: &str, expression: &str) {
        wait::until(what, || {
            let found = self.try_eval(expression)?;
            if found == true {
                return Ok(());
            }
            let seen = self.try_eval("document.body?.innerText ?? null")?;
            Err(format!("{expression} is {found}: {seen}"))
        });
    }

    /// Clicks on the first element that a selector takes, where a person would.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.place(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Moves the mouse over the first element that a selector takes.
    pub fn hover(&mut self, selector: &str) {
        let (x, y) = self.place(selector);
        self.call("Input.dispatchMouseEvent", &json!({"type": "mouseMoved", "x": x, "y": y}));
    }

    /// The middle of an element, once it is seen there: Chromium passes no input on to a page that it
    /// has not painted.
    fn place(&mut self, selector: &str) -> (f64, f64) {
        let what = json!(selector);
        let expression = format!(
            "(() => {{ const one = document.querySelector({what}); \
             if (!one || !performance.getEntriesByName('first-contentful-paint').length) return null; \
             one.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = one.getBoundingClientRect(); \
             const x = box.x + box.width / 2, y = box.y + box.height / 2; \
             const seen = document.elementFromPoint(x, y); \
             return one.contains(seen) ? [x, y] : null; }})()"
        );
        wait::until(&format!("{selector} is seen"), || {
            let place = self.try_eval(&expression)?;
            let (x, y) = (place[0].as_f64(), place[1].as_f64());
            x.zip(y).ok_or_else(|| format!("{selector} is not there, or something is before it"))
        })
    }

    /// Presses a key by its name, as `Tab` or `Enter`.
    pub fn key(&mut self, name: &str) {
        let (code, text) = match name {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "ArrowRight" => (39, None),
            "ArrowLeft" => (37, None),
            other => panic!("{other} is no key of ours"),
        };
        let mut event =
            json!({"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code});
        if let Some(text) = text {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Types text where the focus is.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Writes what is seen to a file.
    ///
    /// # Panics
    /// If that fails.
    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let data = shot["data"].as_str().expect("a picture");
        let png = STANDARD.decode(data).expect("a picture");
        fs::write(path, png).expect("the picture can be written");
    }

    /// Errors that the page has told its console until now.
    pub fn errors(&mut self) -> Vec<String> {
        self.eval("null");
        std::mem::take(&mut self.errors)
    }
}
