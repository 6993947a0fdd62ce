//! The benchmarks themselves: that every contender forwards and every load moves something. How much is no test's affair.

use anyhow::Result;
use lab::bench::{Contender, Direction, Figures, Gateway, Hosts, Load, Programs, Quantity, Train, measure};

const FLOW: Load = Load::Tcp { flows: 1, direction: Direction::Forward };

fn turn(hosts: &Hosts, contender: Contender, load: Load) -> Result<Figures> {
    let clients = if load == Load::Memory { 8 } else { 1 };
    let gateway = Gateway::start(hosts, contender, clients)?;
    measure(&gateway, load, 1)
}

fn figure(figures: &Figures, quantity: Quantity) -> Option<f64> {
    figures.iter().find(|(of, _)| *of == quantity).map(|(_, figure)| *figure)
}

#[test]
fn contenders_take_turns_on_the_same_hosts_and_each_carries_a_flow() -> Result<()> {
    // Boringtun is not in Debian; where its place is taken by wireguard-go, the way is the same.
    let hosts = Hosts::start(Programs::beside_this_one()?, "cubic")?;
    let contenders = [
        Contender::Masquerade,
        Contender::Tayga,
        Contender::TaygaMasqueraded,
        Contender::Ours,
        Contender::TunnelTayga,
        Contender::TunnelOurs,
        Contender::Masquerade,
    ];

    for contender in contenders {
        let figures = turn(&hosts, contender, FLOW)?;

        let cpu = figure(&figures, Quantity::CpuPerGigabyte);
        assert!(figure(&figures, Quantity::Throughput) > Some(0.01), "{contender}: {figures:?}");
        assert_eq!(cpu.is_none(), contender == Contender::Masquerade, "{contender}: {figures:?}");
    }
    Ok(())
}

#[test]
fn every_load_moves_something_both_ways_and_through_tunnels() -> Result<()> {
    let hosts = Hosts::start(Programs::beside_this_one()?, "cubic")?;
    let loads = [
        (Contender::Ours, Load::Tcp { flows: 4, direction: Direction::Reverse }, Quantity::Throughput),
        (Contender::Ours, Load::Udp { size: 64, train: Train::Cut }, Quantity::Datagrams),
        (Contender::Ours, Load::Udp { size: 1400, train: Train::Whole }, Quantity::Datagrams),
        (Contender::Ours, Load::Connections, Quantity::Connections),
        (Contender::Ours, Load::Latency, Quantity::LoadedTail),
        (Contender::TunnelOurs, Load::Udp { size: 1300, train: Train::Cut }, Quantity::Datagrams),
        (Contender::TunnelOurs, Load::Memory, Quantity::Resident),
    ];

    for (contender, load, quantity) in loads {
        let figures = turn(&hosts, contender, load)?;

        assert!(figure(&figures, quantity) > Some(1e-3), "{contender}, {load:?}: {figures:?}");
    }
    Ok(())
}

#[test]
fn a_congestion_control_that_the_kernel_does_not_have_is_named() -> Result<()> {
    let error = Hosts::start(Programs::beside_this_one()?, "carrier-pigeon").unwrap_err();

    assert_eq!(error.to_string(), "the kernel has no congestion control carrier-pigeon for TCP; choose another");
    Ok(())
}
