//! Who answers at the control socket: the engine what is asked of sites, this module the rest.

use std::sync::{Arc, PoisonError, RwLock};

use dglb_common::counters::Counters;
use tokio::sync::{mpsc, oneshot};

use crate::{
    control::protocol::{Reply, Request, SiteView},
    measure::Command,
    status::Status,
};

/// What the running configuration answers by; replaced with it. Cloning gives another handle.
#[derive(Clone)]
pub struct Answers {
    now: Arc<RwLock<Now>>,
    reloads: mpsc::Sender<oneshot::Sender<Reply>>,
}

/// What belongs to one configuration.
#[derive(Clone)]
pub struct Now {
    /// To the engine; `None`: a role without sites.
    pub engine: Option<mpsc::Sender<Command>>,
    /// What the sockets answered.
    pub counted: Arc<dyn Fn() -> Counters + Send + Sync>,
}

impl Answers {
    /// Answers as `now` says; who wants the file read anew is passed on to `reloads`.
    pub fn new(now: Now, reloads: mpsc::Sender<oneshot::Sender<Reply>>) -> Self {
        Self {
            now: Arc::new(RwLock::new(now)),
            reloads,
        }
    }

    /// Another configuration is in service.
    pub fn replace(&self, now: Now) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn now(&self) -> Now {
        self.now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The reply to a request.
    pub async fn to(&self, request: Request) -> Reply {
        match request {
            Request::Status => self.status().await,
            Request::Reload => {
                let (sender, reply) = oneshot::channel();
                let ended = || Reply::Error("the daemon is ending".into());
                match self.reloads.send(sender).await {
                    Ok(()) => reply.await.unwrap_or_else(|_| ended()),
                    Err(_) => ended(),
                }
            }
            request @ (Request::Sites { .. }
            | Request::Explain { .. }
            | Request::History { .. }
            | Request::Override { .. }) => self.of_sites(request).await,
        }
    }

    async fn of_sites(&self, request: Request) -> Reply {
        let Some(engine) = self.now().engine else {
            return Reply::Error("role dns-b has no sites".into());
        };
        let (reply, said) = oneshot::channel();
        let between = || Reply::Error("the daemon changes its configuration: ask again".into());
        match engine.send(Command { request, reply }).await {
            Ok(()) => said.await.unwrap_or_else(|_| between()),
            Err(_) => between(),
        }
    }

    /// What the sockets answered.
    pub fn counted(&self) -> Counters {
        (self.now().counted)()
    }

    /// All sites; none at a role without.
    pub async fn sites(&self) -> Vec<SiteView> {
        match self.of_sites(Request::Sites { service: None }).await {
            Reply::Sites(sites) => sites.sites,
            _ => Vec::new(),
        }
    }

    async fn status(&self) -> Reply {
        let sites = self.sites().await;
        let status = Status::new(&sites, &self.counted());
        match serde_json::to_value(status) {
            Ok(status) => Reply::Status(status),
            Err(error) => Reply::Error(format!("the status can't be written: {error}")),
        }
    }
}
