//! The terminal of `top`: taken, and given back on every way out.

use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ringfence::{Signals, registry};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};

use super::sample::Sampler;
use super::view::{Act, Key, View};
use crate::{colour, errno, messages, output};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The terminal while it is ours. Its panic hook restores it where a panic is the end of the process.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _a_terminal_that_is_gone_needs_nothing = ratatui::try_restore();
    }
}

/// Shows the sandboxes until it is left; the exit status.
pub(super) fn show() -> u8 {
    match Signals::take().and_then(|signals| run(&signals)) {
        Ok(status) => status,
        Err(error) => {
            let problem = errno::problem("top", "the terminal cannot be used", &error);
            messages::problem(&problem.remedy("`ringfence top --once` prints one table"));
            output::FAILED
        }
    }
}

fn run(signals: &Signals) -> io::Result<u8> {
    let mut screen = Screen::take()?;
    let mut sampler = Sampler::default();
    let mut view = View::new(colour::wanted(true));
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            view.take(sampler.sample());
            next = Instant::now() + INTERVAL;
        }
        screen.0.draw(|frame| view.draw(frame))?;
        wait(signals, next.saturating_duration_since(Instant::now()))?;
        if let Some(signal) = signals.next() {
            return Ok(u8::try_from(128 + signal).unwrap_or(output::FAILED));
        }
        while event::poll(Duration::ZERO)? {
            match view.press(key(&event::read()?)) {
                Act::Stay => {}
                Act::Quit => return Ok(0),
                Act::Suspend => {
                    drop(screen);
                    kill_process(getpid(), Signal::TSTP)?;
                    // Here when somebody continues it.
                    screen = Screen::take()?;
                }
                Act::Kill(id) => {
                    let said = view.find(&id).map(|row| kill(&row.entry));
                    view.say(said.unwrap_or_default());
                    next = Instant::now();
                }
            }
        }
    }
}

fn kill(entry: &registry::Entry) -> String {
    match registry::kill(entry).result {
        Ok(()) => format!("killed {}", entry.id),
        Err(why) => format!("not killed: {}: {why}", entry.id),
    }
}

/// Until a key, a signal, the next look, or another size of the window: its signal interrupts.
fn wait(signals: &Signals, time: Duration) -> io::Result<()> {
    let stdin = io::stdin();
    let mut files = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    match poll(&mut files, Some(&time)) {
        Err(rustix::io::Errno::INTR) => Ok(()),
        Ok(_) if files[0].revents().contains(PollFlags::HUP) => Err(io::ErrorKind::UnexpectedEof.into()),
        result => result.map(drop).map_err(io::Error::from),
    }
}

fn key(event: &Event) -> Key {
    let Event::Key(key) = event else { return Key::Other };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => Key::Other,
        KeyCode::Char('c' | 'd') if control => Key::Leave,
        KeyCode::Char('z') if control => Key::Suspend,
        KeyCode::Char(_) if control => Key::Other,
        KeyCode::Esc => Key::Leave,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Char(letter) => Key::Letter(letter.to_ascii_lowercase()),
        _ => Key::Other,
    }
}
