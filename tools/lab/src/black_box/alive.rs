//! How a guest shows that it lives.

use std::cell::Cell;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::base::stop;
use crate::guest::console;
use crate::host::channel::{quoted, Channel};
use crate::host::xl;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alive {
    /// These words come on its console, again after each step.
    Console(String),
    /// This line is typed there, and these words come.
    Answer(String, String),
    /// This node of its own in xenstore changes.
    Node(String),
    /// It copies `data/ping` to `data/pong`.
    Ping,
    /// It uses processor time.
    Cpu,
}

impl FromStr for Alive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let given = |text: &str| match text {
            "" => Err("something must follow the colon".to_owned()),
            text => Ok(text.to_owned()),
        };
        match text.split_once(':') {
            Some(("console", words)) => given(words).map(Self::Console),
            Some(("node", path)) => given(path.trim_start_matches('/')).map(Self::Node),
            Some(("answer", both)) => match both.split_once('=') {
                Some((line, words)) => Ok(Self::Answer(given(line)?, given(words)?)),
                None => Err("answer:LINE=WORDS".into()),
            },
            None if text == "ping" => Ok(Self::Ping),
            None if text == "cpu" => Ok(Self::Cpu),
            _ => Err(format!(
                "{text} is none of console:WORDS, answer:LINE=WORDS, node:PATH, ping, cpu"
            )),
        }
    }
}

/// Looks for the sign of one guest.
pub struct Sign {
    what: Alive,
    name: String,
    tokens: Cell<u32>,
}

/// How long the console's logs were before a step: a domain that arrives by migration has one of its
/// own until the next.
#[derive(Debug, Clone, Copy)]
pub struct Mark([u64; 2]);

const SHORT: Duration = Duration::from_secs(60);

impl Sign {
    pub fn new(what: Alive, name: &str) -> Self {
        Self {
            what,
            name: name.to_owned(),
            tokens: Cell::new(0),
        }
    }

    /// Its logs, as a shell takes them.
    fn logs(&self) -> [String; 2] {
        console::logs(&self.name).map(|log| quoted(&log))
    }

    /// How much it has said so far.
    pub fn mark(&self, dom0: &Channel) -> Result<Mark> {
        let [log, incoming] = self.logs();
        let script = format!("for f in {log} {incoming}; do cat $f 2>/dev/null | wc -c; done");
        let said = dom0.must(&script, SHORT)?;
        let mut lengths = said.split_whitespace().map(str::parse);
        match (lengths.next(), lengths.next()) {
            (Some(Ok(log)), Some(Ok(incoming))) => Ok(Mark([log, incoming])),
            _ => bail!("wc says {said:?}"),
        }
    }

    /// Waits until it has said these words since `mark`.
    pub fn wait_for_words(
        &self,
        dom0: &Channel,
        mark: Mark,
        words: &str,
        limit: Duration,
        fine: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let ([log, incoming], [from, incoming_from]) = (self.logs(), mark.0.map(|said| said + 1));
        let script = format!(
            "{{ tail -c +{from} {log}; tail -c +{incoming_from} {incoming}; }} 2>/dev/null | grep -a -q -F -e {}",
            quoted(words)
        );
        stop::wait_for(&format!("{words:?} on its console"), limit, || {
            if dom0.run(&script, SHORT)?.ok() {
                return Ok(Some(()));
            }
            fine().map(|()| None)
        })
    }

    /// Waits until the guest shows that it lives; gives by what.
    pub fn wait(
        &self,
        dom0: &Channel,
        mark: Mark,
        limit: Duration,
        fine: impl Fn() -> Result<()>,
    ) -> Result<String> {
        match self.what.clone() {
            Alive::Console(words) => {
                self.wait_for_words(dom0, mark, &words, limit, fine)?;
                Ok(format!("{words:?} on its console"))
            }
            Alive::Answer(line, words) => {
                let mark = self.mark(dom0)?;
                let id = self.domid(dom0)?;
                dom0.must(&console::type_line(id, &line), SHORT)?;
                self.wait_for_words(dom0, mark, &words, limit, fine)?;
                Ok(format!("{words:?} in answer to {line:?}"))
            }
            Alive::Node(path) => {
                let read = format!("xenstore-read /local/domain/{}/{path}", self.domid(dom0)?);
                let before = dom0.run(&read, SHORT)?.stdout;
                self.until(
                    &format!("{path} to change"),
                    dom0,
                    &read,
                    limit,
                    fine,
                    |now| now != before,
                )
            }
            Alive::Ping => {
                self.tokens.set(self.tokens.get() + 1);
                let (id, token) = (self.domid(dom0)?, format!("life-{}", self.tokens.get()));
                let data = format!("/local/domain/{id}/data");
                dom0.must(&format!("xenstore-write {data}/ping {token}"), SHORT)?;
                let read = format!("xenstore-read {data}/pong");
                self.until("the answer to a ping", dom0, &read, limit, fine, |now| {
                    now.trim() == token
                })
            }
            Alive::Cpu => {
                let used = || -> Result<Option<f64>> {
                    Ok(xl::listed(dom0, &self.name, SHORT)?.map(|listed| listed.secs))
                };
                let before = used()?;
                stop::wait_for("it to use processor time", limit, || match used()? {
                    Some(now) if Some(now) != before => {
                        Ok(Some(format!("{now} s of processor time")))
                    }
                    _ => fine().map(|()| None),
                })
            }
        }
    }

    fn until(
        &self,
        what: &str,
        dom0: &Channel,
        read: &str,
        limit: Duration,
        fine: impl Fn() -> Result<()>,
        lives: impl Fn(&str) -> bool,
    ) -> Result<String> {
        stop::wait_for(what, limit, || {
            let now = dom0.run(read, SHORT)?.stdout;
            if lives(&now) {
                return Ok(Some(now.trim().to_owned()));
            }
            fine().map(|()| None)
        })
    }

    fn domid(&self, dom0: &Channel) -> Result<u32> {
        xl::domid(dom0, &self.name, SHORT)?.context("the domain is gone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        assert_eq!("ping".parse(), Ok(Alive::Ping));
        assert_eq!("console:a: b".parse(), Ok(Alive::Console("a: b".into())));
        assert_eq!(
            "answer:uptime=load".parse(),
            Ok(Alive::Answer("uptime".into(), "load".into()))
        );
        assert_eq!("node:/data/x".parse(), Ok(Alive::Node("data/x".into())));
        for bad in ["", "dance", "console:", "answer:x", "answer:=x", "node:/"] {
            assert!(bad.parse::<Alive>().is_err(), "{bad}");
        }
    }
}
