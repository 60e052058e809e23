//! The terminal of a sandbox, seen from outside, and the caller's terminal that it is relayed to.
//!
//! The caller's is in raw mode while this process is in its foreground: every key is a byte for the line discipline
//! inside. In the background nothing of it is read or changed.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_init::abi;
use ringfence_init::sys::Errno;
use ringfence_init::wire::{Command, CommandKind, EVERYTHING, fault};
use rustix::fs::OFlags;
use rustix::process::getpgrp;
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::pump::{Pump, Sink, duplicate, opened_again};
use crate::relay::Relay;
use crate::signals::Signals;
use crate::supervise::{Running, send};
use crate::{errno, look};

/// A terminal of its own, as a run asks for it.
#[derive(Clone, Debug)]
pub struct OwnTerminal {
    /// Which of the three streams are on it.
    pub streams: [bool; 3],
    /// The caller's, which it begins as.
    pub(crate) settings: Option<abi::Termios>,
    /// Rows, columns, and two words that nobody uses.
    pub(crate) size: abi::WindowSize,
    /// The program has it from the start. Otherwise it is asked for when it wants to: this process may be one of a
    /// pipeline, and another one use the caller's terminal.
    pub eager: bool,
}

impl OwnTerminal {
    /// One with these streams, as the caller's where there is one.
    #[must_use]
    pub fn new(streams: [bool; 3], eager: bool, outer: Option<&Outer>) -> Self {
        // In the background its settings are whose turn it is, not what a program expects.
        let settings = outer.filter(|outer| outer.in_foreground()).and_then(Outer::kernels_settings);
        let size = outer.and_then(|outer| tcgetwinsize(&*outer.file).ok()).filter(|size| size.ws_row > 0);
        let size = size.map_or([24, 80, 0, 0], |s| [s.ws_row, s.ws_col, s.ws_xpixel, s.ws_ypixel]);
        Self { streams, settings, size, eager }
    }
}

impl fmt::Display for OwnTerminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rows, columns, ..] = self.size;
        write!(f, "{columns} by {rows}")
    }
}

/// The caller's terminal. Every copy is the same one.
#[derive(Clone, Debug)]
pub struct Outer {
    file: Arc<OwnedFd>,
    /// Its settings before it was switched, while it is.
    saved: Arc<Mutex<Option<Termios>>>,
}

impl Outer {
    /// The first of this process' streams that is a terminal.
    #[must_use]
    pub fn of_streams() -> Option<Self> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let terminal = streams.into_iter().find(|stream| crate::resolve::is_terminal(stream))?;
        Some(Self { file: Arc::new(duplicate(terminal).ok()?), saved: Arc::default() })
    }

    /// Is this process in its foreground? Never where it is not the terminal of this process' session.
    #[must_use]
    pub fn in_foreground(&self) -> bool {
        tcgetpgrp(&*self.file).is_ok_and(|group| group == getpgrp())
    }

    /// Its settings as the kernel has them.
    fn kernels_settings(&self) -> Option<abi::Termios> {
        use std::os::fd::AsRawFd as _;
        ringfence_init::sys::settings(ringfence_init::sys::Fd(self.file.as_raw_fd())).ok()
    }

    /// Switches it to raw mode; not for what is printed, where others print on it too (`shared`). Answers whether this process has it: in the background it is not touched. (Were it put
    /// there this very moment the kernel would stop it, SIGTTOU, rather than change anything.)
    fn take(&self, shared: bool) -> bool {
        if !self.in_foreground() {
            return false;
        }
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut settings) = tcgetattr(&*self.file) else { return false };
        // Who was stopped from outside comes back to settings that are its own.
        saved.get_or_insert_with(|| settings.clone());
        let output = settings.output_modes;
        settings.make_raw();
        if shared {
            settings.output_modes = output;
        }
        tcsetattr(&*self.file, OptionalActions::Now, &settings).is_ok()
    }

    fn is_raw(&self) -> bool {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Gives it the settings back that it had. In the background they are no longer this process' affair.
    pub fn give_back(&self) {
        // A panic while it was held is no reason not to.
        let mut saved = match self.saved.try_lock() {
            Ok(saved) => saved,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        if let Some(settings) = saved.as_ref()
            && self.in_foreground()
        {
            // Where it fails the terminal is gone.
            let _gone = tcsetattr(&*self.file, OptionalActions::Now, settings);
            *saved = None;
        }
    }

    /// A descriptor to read what is typed from.
    fn keyboard(&self) -> io::Result<OwnedFd> {
        let again = opened_again(self.file.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK);
        again.map_or_else(|| duplicate(&*self.file), Ok)
    }

    /// A descriptor to print to.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn screen(&self) -> io::Result<OwnedFd> {
        duplicate(&*self.file)
    }
}

/// Where what is typed comes from.
#[derive(Debug)]
pub enum Keyboard {
    /// The caller's terminal.
    Outer,
    /// A file or a pipe.
    File(OwnedFd),
    /// Memory.
    Bytes(Vec<u8>),
    /// Nowhere.
    Nowhere,
}

/// What the sandbox's terminal is connected to.
#[derive(Debug)]
pub struct Connection {
    /// Where what is typed comes from.
    pub keyboard: Keyboard,
    /// Where what is printed goes.
    pub screen: Sink,
    /// The stream that what is printed counts as; 3 for none.
    pub stream: usize,
    /// The caller's terminal.
    pub outer: Option<Outer>,
    /// The program has it from the start.
    pub eager: bool,
}

/// The sandbox's terminal. Dropping it gives the caller's settings back.
#[derive(Debug)]
pub(crate) struct Terminal {
    outer: Option<Outer>,
    /// Until there is a master.
    connection: Option<Connection>,
    master: Option<OwnedFd>,
    /// What is typed comes from the caller's.
    by_hand: bool,
    /// Others may print on the caller's.
    shared: bool,
    /// It goes to the program, when this process has the keyboard.
    wanted: bool,
    /// It does.
    typing: bool,
    /// The program was stopped for using the terminal in its background, and waits for it.
    asked: bool,
}

impl Terminal {
    pub(crate) fn new(connection: Connection) -> Self {
        let by_hand = matches!(connection.keyboard, Keyboard::Outer);
        Self {
            outer: connection.outer.clone(),
            by_hand,
            shared: !connection.eager,
            wanted: by_hand && connection.eager,
            connection: Some(connection),
            master: None,
            typing: false,
            asked: false,
        }
    }

    /// The master has come: what is typed and printed is moved from now on.
    pub(crate) fn connect(&mut self, master: OwnedFd, relay: &mut Relay) -> io::Result<()> {
        let Some(connection) = self.connection.take() else { return Ok(()) };
        relay.add(Pump::from_terminal(
            connection.stream,
            look::ours(duplicate(&master)?)?,
            connection.screen,
        ));
        let typed = look::ours(duplicate(&master)?)?;
        match (connection.keyboard, &self.outer) {
            (Keyboard::Outer, Some(outer)) => relay.add(Pump::from_keyboard(outer.keyboard()?, typed)),
            (Keyboard::File(file), _) => relay.add(Pump::typed(file, typed)),
            (Keyboard::Bytes(bytes), _) => relay.add(Pump::typed_bytes(bytes, typed)),
            (Keyboard::Outer | Keyboard::Nowhere, _) => {}
        }
        self.master = Some(master);
        Ok(())
    }

    /// The program reads from, or sets, a terminal that was not given to it yet.
    pub(crate) const fn want(&mut self) {
        (self.wanted, self.asked) = (self.by_hand, true);
    }

    /// The program could have the keyboard, and this process is in the background.
    pub(crate) const fn waits(&self) -> bool {
        self.wanted && !self.typing && self.master.is_some()
    }

    /// Looks whether this process has the caller's terminal. Answers whether it just came.
    pub(crate) fn look(&mut self, relay: &mut Relay) -> bool {
        let before = self.typing;
        let had = |outer: &Outer| outer.is_raw() || !outer.in_foreground();
        if self.wanted && self.master.is_some() && !self.outer.as_ref().is_none_or(had) {
            relay.take_typed_ahead();
        }
        self.typing = self.wanted
            && self.master.is_some()
            && self.outer.as_ref().is_some_and(|outer| outer.take(self.shared));
        relay.let_type(self.typing);
        self.resize();
        self.typing && !before
    }

    /// Lets the caller's terminal go.
    pub(crate) fn let_go(&mut self, relay: &mut Relay) {
        relay.let_type(false);
        self.typing = false;
        self.outer.iter().for_each(Outer::give_back);
    }

    /// The window has the size of the caller's: the kernel tells the program of a new one (SIGWINCH).
    pub(crate) fn resize(&self) {
        let (Some(outer), Some(master)) = (&self.outer, &self.master) else { return };
        let same = |a: Winsize, b: Winsize| (a.ws_row, a.ws_col) == (b.ws_row, b.ws_col);
        if let (Ok(theirs), Ok(ours)) = (tcgetwinsize(&*outer.file), tcgetwinsize(master))
            && !same(theirs, ours)
            && theirs.ws_row > 0
        {
            let _gone_with_the_program = tcsetwinsize(master, theirs);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.outer.iter().for_each(Outer::give_back);
    }
}

/// How often a process in the background looks whether it still is: no signal tells (a shell that puts a running job into
/// the foreground need not send one).
const LOOKS_APART: Duration = Duration::from_millis(200);
/// How long what the program printed before its stop may take to be shown.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Running {
    /// When to look again whether this process is in the foreground.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        self.terminal.as_ref().filter(|terminal| terminal.waits()).map(|_| LOOKS_APART)
    }

    /// The master of the sandbox's terminal has come.
    pub(crate) fn take_terminal(&mut self, master: Option<OwnedFd>) {
        self.master_came = true;
        let connected = match (&mut self.terminal, master) {
            (Some(terminal), Some(master)) => terminal.connect(master, &mut self.relay),
            (None, Some(master)) => return self.early_master = Some(master),
            (_, None) => Err(errno::error(Errno(fault::MISMATCH))),
        };
        match connected {
            Ok(()) => _ = self.look(),
            // A program on a terminal that nobody reads would wait for ever.
            Err(e) => _ = self.lose(e.raw_os_error().map_or_else(|| e.to_string(), errno::name)),
        }
    }

    fn look(&mut self) -> bool {
        self.terminal.as_mut().is_some_and(|terminal| terminal.look(&mut self.relay))
    }

    /// Where this process has come to the foreground, what it shows is drawn again.
    pub(crate) fn look_at_terminal(&mut self) {
        if self.look() {
            self.tell_init(CommandKind::Thaw, 0);
        }
        self.give_to_program();
    }

    /// The program waits for the terminal, and this process has it.
    fn give_to_program(&mut self) {
        let waits = |terminal: &&mut Terminal| terminal.asked && terminal.typing;
        if let Some(terminal) = self.terminal.as_mut().filter(waits) {
            terminal.asked = false;
            self.tell_init(CommandKind::Foreground, 0);
        }
    }

    /// A signal has stopped the program. Where it was one for reading the terminal in the background, it gets it; else
    /// this process stops as well, so that the caller's shell has its terminal back.
    pub(crate) fn program_stopped(&mut self, status: i32) {
        let Some(terminal) = &mut self.terminal else { return };
        if matches!(libc::WSTOPSIG(status), libc::SIGTTIN | libc::SIGTTOU) {
            terminal.want();
            self.look_at_terminal();
        } else {
            // In the background nobody sits before it: it goes on when its owner says so.
            self.stopped = terminal.typing;
        }
    }

    /// Follows the program's stop.
    pub(crate) fn follow_stop(&mut self, signals: Option<&Signals>) {
        if std::mem::take(&mut self.stopped)
            && let Some(signals) = signals
        {
            self.suspend(signals, true);
        }
    }

    /// A signal that is about the terminal, and nothing to pass on.
    pub(crate) fn is_of_terminal(&mut self, signal: i32, signals: Option<&Signals>) -> bool {
        match signal {
            libc::SIGWINCH => self.terminal.iter().for_each(Terminal::resize),
            libc::SIGCONT => {
                self.look_at_terminal();
                // Its owner wants it to go on; what its own shell has stopped stays so.
                self.tell_init(CommandKind::Thaw, 0);
            }
            libc::SIGTSTP => signals.into_iter().for_each(|signals| self.suspend(signals, false)),
            _ => return false,
        }
        true
    }

    /// Stops everything inside, gives the caller's terminal back, and stops this process, or all of its group; then
    /// everything goes on. The deadline goes on meanwhile: PID 1 holds it, and is not stopped.
    fn suspend(&mut self, signals: &Signals, group: bool) {
        self.tell_init(CommandKind::Freeze, 0);
        self.relay.flush(LAST_WORDS);
        if let Some(terminal) = &mut self.terminal {
            terminal.let_go(&mut self.relay);
        }
        signals.stop(group);
        let _in_the_background = self.look();
        self.tell_init(CommandKind::Thaw, EVERYTHING);
    }

    fn tell_init(&self, kind: CommandKind, signal: i32) {
        let _gone_is_fine = send(self.control(), &Command { kind: kind as u32, signal });
    }
}
