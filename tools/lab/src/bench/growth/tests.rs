//! One suspend in events, and what is made of it.

use super::measured::{All, Measured, Point};
use super::tables::{charts, table};
use crate::bench::samples::Samples;
use crate::guest::event::Event;
use crate::guest::event::{parse, Line};

fn events(lines: &[&str]) -> Vec<Event> {
    lines
        .iter()
        .map(|line| {
            let line = format!("@{{\"v\":1,\"t\":1,\"cpu\":0,{line}}}");
            match parse(line.as_bytes()) {
                Line::Event(event) => event,
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

const TRIM: &str = r#""ev":"trim","round":1,"sets":60,"hypercalls":6"#;
const DRAIN: &str =
    r#""ev":"drain","round":1,"why":"suspend","sets":4,"hypercalls":2,"left":0,"ns":500000"#;
const RESUMED: &str = r#""ev":"resumed","round":1,"how":"cancelled","hypercalls":40,"ns":{"requested":0,"acknowledged":1000000,"quiesced":3000000,"drained":4000000,"audited":6000000,"detached":9000000,"suspended":9500000}"#;

#[test]
fn phases_are_measured_from_one_to_the_next() {
    let mut m = Measured::default();
    m.add(&events(&[TRIM, DRAIN, RESUMED])).unwrap();
    let of = |samples: &Samples| samples.0[0];
    assert_eq!(
        [
            of(&m.acknowledge),
            of(&m.park),
            of(&m.drain),
            of(&m.drained)
        ],
        [1.0, 2.0, 0.5, 1.0]
    );
    assert_eq!(
        [of(&m.audit), of(&m.work), of(&m.suspended)],
        [2.0, 5.0, 8.5]
    );
    assert_eq!([of(&m.trimmed_sets), of(&m.drained_sets)], [60.0, 4.0]);
    assert_eq!(
        [
            of(&m.trim_hypercalls),
            of(&m.drain_hypercalls),
            of(&m.hypercalls)
        ],
        [6.0, 2.0, 40.0]
    );
}

#[test]
fn what_the_guest_did_not_say_is_named() {
    let said = |lines: &[&str]| {
        Measured::default()
            .add(&events(lines))
            .unwrap_err()
            .to_string()
    };
    assert!(said(&[DRAIN]).contains("resumed"));
    assert!(said(&[RESUMED]).contains("drain"));
    let short = RESUMED.replace("\"audited\":6000000,", "");
    assert!(said(&[DRAIN, &short]).contains("audited"));
}

#[test]
fn early_is_set_against_plain_at_the_same_point() {
    let mut all = All::new();
    for early in [false, true] {
        for pv in [false, true] {
            let point = Point {
                pv,
                mem: 40,
                vcpus: 16,
                sets: 64,
                early,
            };
            let measured = all.entry(point).or_default();
            let lines = if early {
                vec![TRIM, DRAIN, RESUMED]
            } else {
                vec![DRAIN, RESUMED]
            };
            measured.add(&events(&lines)).unwrap();
            if early {
                measured.work.0[0] = 2.0;
            }
        }
    }
    let table = table(&all, true).unwrap();
    assert_eq!(table.rows.len(), 2);
    assert_eq!(
        (table.rows[0][11].as_str(), table.rows[1][11].as_str()),
        ("", "×2.50")
    );
    let charts = charts(&all);
    assert_eq!(charts.len(), 2);
    assert_eq!(
        charts[0].lines[1],
        ("16 vCPUs, trimmed early".to_owned(), vec![Some(2.0)])
    );
}
