//! The stand-in of Hetzner's API is what Hetzner's own client takes it for.

use lab::hetzner::Hetzner;
use lab::site::on_site;

#[test]
fn hetzners_own_client_goes_through_the_whole_api() {
    on_site(|site| {
        let hetzner = Hetzner::start(&site.lab.internet6, "::1")?;

        let said = hetzner.walk(&site.lab.internet6)?;

        assert_eq!(said.trim(), "all of it is right");
        Ok(())
    });
}
