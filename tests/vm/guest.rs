//! A running node: its console and its power switch.

use crate::{
    lab::Lab,
    machine::{Kind, Machine, Weather},
    node::Node,
};
use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// Everything takes so long at most; an idle machine needs a fraction of it.
pub const LIMIT: Duration = Duration::from_secs(1800);

pub struct Guest<'n> {
    node: &'n Node,
    weather: Weather,
    machine: Box<dyn Machine>,
    /// Leads to the emulator's port 22, on the loopback interface.
    pub(crate) port: u16,
    /// Sockets, and what was taken out of the FAT.
    dir: tempfile::TempDir,
    /// Length of the console's log at the last power-on.
    since: usize,
}

impl<'n> Guest<'n> {
    pub(crate) fn start(node: &'n Node, weather: &Weather) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = match &node.site.switch {
            Some(switch) => switch.ssh_port(&node.address),
            None => free_port(),
        };
        let since = fs::read(node.console()).unwrap().len();
        let kind = node.site.kind;
        let machine = kind.power_on(node, weather, dir.path(), port);
        let weather = weather.clone();
        let mut guest = Self { node, weather, machine, port, dir, since };
        if guest.weather.unplugged {
            guest.link(false);
        }
        guest
    }

    /// A reset goes by way of the firmware: the command line is read again.
    fn start_again(&mut self) {
        self.hang_up();
        self.machine.take_card();
        self.since = fs::read(self.node.console()).unwrap().len();
        let (kind, dir) = (self.kind(), self.dir.path());
        self.machine = kind.power_on(self.node, &self.weather, dir, self.port);
        if self.weather.unplugged {
            self.link(false);
        }
    }

    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// What it runs in.
    pub fn kind(&self) -> Kind {
        self.node.site.kind
    }

    pub fn lab(&self) -> Lab {
        self.node.lab()
    }

    /// A file beside the running machine.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The console since the last power-on.
    pub fn console(&self) -> String {
        let log = fs::read(self.node.console()).unwrap();
        String::from_utf8_lossy(&log[self.since..]).into_owned()
    }

    /// Fails the test, with the end of the console.
    pub fn fail(&self, why: &str) -> ! {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(60)..].join("\n");
        let path = self.node.console().display();
        panic!("{why}\n--- the end of the console, {path}:\n{tail}");
    }

    /// Asks until there is an answer.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut ask: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if self.machine.process().try_wait().unwrap().is_some() {
                if !self.console().contains("reboot: Restarting system") {
                    self.fail(&format!("powered off, not {what}"));
                }
                self.start_again();
            }
            if start.elapsed() > LIMIT {
                self.fail(&format!("not {what} after {LIMIT:?}"));
            }
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits for a text on the console, since the last power-on.
    pub fn wait_for_console(&mut self, text: &str) {
        self.wait(&format!("on the console: {text}"), |guest| {
            guest.console().contains(text).then_some(())
        });
    }

    /// Plugs the network cable in, or out.
    pub fn link(&mut self, up: bool) {
        self.weather.unplugged = !up;
        let start = Instant::now();
        while let Err(error) = self.machine.plug(up) {
            // It can be asked a moment after its start.
            if start.elapsed() > Duration::from_secs(30) {
                self.fail(&format!("the machine does not answer: {error}"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Shuts down, and waits for the end of it.
    pub fn power_off(mut self) {
        // The connection may go before the answer comes.
        self.try_sh("sudo systemctl poweroff");
        let start = Instant::now();
        while self.machine.process().try_wait().unwrap().is_none() {
            if start.elapsed() > LIMIT {
                self.fail("still on after systemctl poweroff");
            }
            thread::sleep(Duration::from_millis(200));
        }
        if !self.console().contains("reboot: Power down") {
            self.fail("the shutdown did not come to its end");
        }
        self.machine.take_card();
    }

    /// Pulls the plug: what the guest had not flushed is lost.
    pub fn cut(self) {
        drop(self);
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.machine.cut();
        self.hang_up();
    }
}

/// A port of the loopback interface that nobody has now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
