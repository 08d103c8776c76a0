//! NMIs for every vCPU of every domain but dom0, again and again, for as long as a file exists.
//!
//! `xl trigger` takes so long to start here that it never hits the moments that matter: the suspend
//! call, and the first instructions of a domain that was restored.

use std::path::Path;
use std::time::Duration;

use crate::domains::Domains;

/// Sends them, with a pause of so many milliseconds after each round; prints how many Xen took.
///
/// # Errors
/// If this is no dom0.
pub fn run(vcpus: u32, pause: u64, file: &str) -> Result<(), String> {
    let mut domains = Domains::open()?;
    let mut sent = 0u64;
    while Path::new(file).exists() {
        for domain in domains.all().into_keys() {
            for vcpu in 0..vcpus {
                // A domain may be gone by now, or have no such vCPU yet.
                sent += u64::from(domains.send_nmi(domain, vcpu).is_ok());
            }
        }
        std::thread::sleep(Duration::from_millis(pause));
    }
    println!("{sent}");
    Ok(())
}
