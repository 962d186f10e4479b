//! The live part of the demo: clients that ask all the time, counters that are read all the time,
//! and a screen that shows both, while the main flow lets things happen.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use super::screen::Screen;
use crate::lab::{
    chain::Progress,
    client::{Client, Observation, SERVICES, Service},
    node::{Node, Stats},
};

const REDRAW: Duration = Duration::from_millis(200);
const ASK: Duration = Duration::from_millis(500);
const COUNT: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(3);
/// How soon a thread sees that the demo ends.
const NAP: Duration = Duration::from_millis(50);

/// What is on the screen.
#[derive(Clone, Debug)]
pub struct View {
    /// When the demo began.
    pub started: Instant,
    /// The steps of building, with the time that each took; the last one may be under way.
    pub steps: Vec<Step>,
    /// What is waited for before anything is built.
    pub waiting: String,
    /// What happens now.
    pub phase: String,
    /// What has been seen.
    pub milestones: Vec<Milestone>,
    /// One line for each client and service.
    pub clients: Vec<ClientLine>,
    /// Statistics of the nodes, the DNS-B first.
    pub nodes: Vec<Stats>,
}

/// A step of building.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is built.
    pub text: String,
    /// When it began, since the demo's start.
    pub began: Duration,
    /// How long it took; none while it is under way.
    pub took: Option<Duration>,
}

/// Something that was seen, or was not.
#[derive(Clone, Debug)]
pub struct Milestone {
    /// Since the demo's start.
    pub at: Duration,
    /// Whether it was as it should be.
    pub ok: bool,
    /// What it was.
    pub text: String,
}

/// What one client last saw of one service.
#[derive(Clone, Debug)]
pub struct ClientLine {
    /// The client's name.
    pub client: String,
    /// Its resolver's.
    pub resolver: String,
    /// What it asks for.
    pub service: Service,
    /// What it last saw, or why it saw nothing.
    pub seen: Result<Observation, String>,
}

/// The view, shared by the threads of the demo.
#[derive(Debug)]
pub struct Watch {
    view: Mutex<View>,
    screen: Mutex<Screen>,
    stop: AtomicBool,
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    /// Nothing to see yet.
    pub fn new(screen: Screen) -> Self {
        Self {
            view: Mutex::new(View {
                started: Instant::now(),
                steps: Vec::new(),
                waiting: String::new(),
                phase: String::new(),
                milestones: Vec::new(),
                clients: Vec::new(),
                nodes: Vec::new(),
            }),
            screen: Mutex::new(screen),
            stop: AtomicBool::new(false),
        }
    }

    /// A copy of what is to be seen now.
    pub fn view(&self) -> View {
        self.lock().clone()
    }

    /// Says how the chain's start comes along.
    pub fn progress(&self, progress: Progress<'_>) {
        match progress {
            Progress::Waiting(text) => {
                self.lock().waiting = text.into();
                self.screen().waiting(&self.view());
            }
            Progress::Step(text) => self.step(text),
        }
    }

    /// Says what is being built; what was before is done.
    fn step(&self, text: &str) {
        {
            let mut view = self.lock();
            let began = view.started.elapsed();
            if let Some(last) = view.steps.last_mut() {
                last.took.get_or_insert(began.saturating_sub(last.began));
            }
            view.waiting.clear();
            view.steps.push(Step {
                text: text.into(),
                began,
                took: None,
            });
        }
        self.screen().step(&self.view());
    }

    /// Says what happens now; building is over.
    pub fn phase(&self, text: &str) {
        {
            let mut view = self.lock();
            let now = view.started.elapsed();
            if let Some(last) = view.steps.last_mut() {
                last.took.get_or_insert(now.saturating_sub(last.began));
            }
            view.phase = text.into();
        }
        self.screen().phase(&self.view());
    }

    /// Says what was seen.
    pub fn milestone(&self, ok: bool, text: String) {
        {
            let mut view = self.lock();
            let at = view.started.elapsed();
            view.milestones.push(Milestone { at, ok, text });
        }
        self.screen().milestone(&self.view());
    }

    /// Leaves people a moment to look, until the tables have been read anew.
    pub fn linger(&self) {
        self.rest(LINGER);
    }

    /// Shows the tables as they are now, also where there is no live screen.
    pub fn show(&self) {
        self.screen().tables(&self.view());
    }

    /// Ends the threads soon after what is returned is dropped.
    pub fn stop_when_dropped(&self) -> impl Drop {
        Stop(&self.stop)
    }

    /// Leaves the last picture on the screen; what is printed after comes below it.
    pub fn finish(&self) {
        self.screen().redraw(&self.view());
    }

    /// Redraws until stopped.
    pub fn start_drawing<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        scope.spawn(|| {
            while self.rest(REDRAW) {
                self.screen().redraw(&self.view());
            }
        });
    }

    /// Lets the clients ask and the counters be read until stopped.
    pub fn start_watching<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        clients: Vec<Client>,
        nodes: Vec<Node>,
    ) {
        for client in clients {
            for service in SERVICES {
                let line = self.add_line(&client, service);
                let client = client.clone();
                scope.spawn(move || {
                    loop {
                        let seen = client.observe(&service);
                        self.lock().clients[line].seen = seen.map_err(|error| error.to_string());
                        if !self.rest(ASK) {
                            break;
                        }
                    }
                });
            }
        }
        scope.spawn(move || {
            loop {
                let stats: Vec<_> = nodes.iter().flat_map(Node::stats).collect();
                if stats.len() == nodes.len() {
                    self.lock().nodes = stats;
                }
                if !self.rest(COUNT) {
                    break;
                }
            }
        });
    }

    fn add_line(&self, client: &Client, service: Service) -> usize {
        let mut view = self.lock();
        view.clients.push(ClientLine {
            client: client.host.name().into(),
            resolver: client.resolver_name.clone(),
            service,
            seen: Err("asking".into()),
        });
        view.clients.len() - 1
    }

    /// Rests for `time`; false when the demo ends.
    fn rest(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.stop.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(NAP));
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
