//! Definitions built by hand, and a reader of images written from `docs/semantics.md` alone.

#![allow(dead_code)]

pub mod reader;

use seqnic_compiler::definition::*;
use seqnic_compiler::diagnostic::Span;
use seqnic_spec::geometry::{EDGE, Geometry};
use std::net::IpAddr;

/// A definition being written. Interface `n` is port `n` of the card.
pub struct Network {
    pub definition: Definition,
    /// Every element gets the next offset, so that a test can tell spans apart.
    spans: usize,
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn mac(n: u8) -> Mac {
    Mac([2, n, 0, 0, 0, n])
}

impl Network {
    pub fn new(interfaces: usize) -> Network {
        Network::on(&EDGE, interfaces)
    }

    pub fn on(geometry: &'static Geometry, interfaces: usize) -> Network {
        let mut network = Network {
            definition: Definition {
                name: String::from("test"),
                geometry,
                generation: 7,
                interfaces: Vec::new(),
                hosts: Vec::new(),
                devices: Vec::new(),
                services: Vec::new(),
                qos: Qos::default(),
                acls: Vec::new(),
                default_gateway: None,
            },
            spans: 0,
        };
        for n in 0..interfaces {
            let span = network.span();
            network.definition.interfaces.push(Interface {
                name: format!("i{n}"),
                port: n as u8,
                vlan: Vlan::default(),
                mac: mac(n as u8 + 1),
                addresses: Vec::new(),
                gateway: None,
                promiscuous: false,
                tracking: Tracking::SourceMac,
                tunnels: Vec::new(),
                tag_bases: Default::default(),
                mtu: None,
                trust: false,
                attached: None,
                span,
            });
        }
        network
    }

    pub fn span(&mut self) -> Span {
        self.spans += 1;
        Span {
            offset: self.spans * 10,
            len: 5,
        }
    }

    pub fn place(&mut self, interface: usize, n: u8) -> Place {
        Place {
            interface,
            vlan: self.definition.interfaces[interface].vlan.clone(),
            mac: mac(n),
            learned: false,
            address: None,
            span: self.span(),
        }
    }

    pub fn host(&mut self, name: &str, interface: usize, n: u8) -> HostId {
        let place = self.place(interface, n);
        let span = place.span;
        self.definition.hosts.push(Host {
            name: name.to_owned(),
            place,
            addresses: Vec::new(),
            span,
        });
        self.definition.hosts.len() - 1
    }

    /// A host that is the default gateway.
    pub fn router(&mut self, interface: usize, n: u8) -> HostId {
        let id = self.host("router", interface, n);
        self.definition.default_gateway = Some(id);
        id
    }

    fn device(&mut self, name: &str, attachments: Attachments) -> DeviceId {
        let span = self.span();
        self.definition.devices.push(Device {
            name: name.to_owned(),
            function: String::new(),
            vendor: None,
            model: None,
            attachments,
            mode: None,
            addresses: Vec::new(),
            tunnel: None,
            promiscuous: false,
            state: State::Up,
            open: false,
            span,
        });
        self.definition.devices.len() - 1
    }

    pub fn one(&mut self, name: &str, interface: usize, n: u8) -> DeviceId {
        let place = self.place(interface, n);
        self.device(name, Attachments::One(place))
    }

    pub fn two(&mut self, name: &str, outside: (usize, u8), inside: (usize, u8)) -> DeviceId {
        let outside = self.place(outside.0, outside.1);
        let inside = self.place(inside.0, inside.1);
        self.device(name, Attachments::Two { outside, inside })
    }

    pub fn via(&mut self, name: &str, host: HostId, addresses: &[&str]) -> DeviceId {
        let id = self.device(name, Attachments::Via(host));
        self.definition.devices[id].mode = Some(Mode::Nat);
        self.definition.devices[id].addresses = addresses.iter().map(|a| ip(a)).collect();
        id
    }

    pub fn server(
        &mut self,
        name: &str,
        interface: usize,
        n: u8,
        mode: Mode,
        addresses: &[&str],
    ) -> DeviceId {
        let id = self.one(name, interface, n);
        self.definition.devices[id].mode = Some(mode);
        self.definition.devices[id].addresses = addresses.iter().map(|a| ip(a)).collect();
        id
    }

    /// Adds a service; change what differs from the usual through the reference.
    pub fn service(
        &mut self,
        name: &str,
        addresses: &[&str],
        ports: &[(u16, u16)],
        sequence: Vec<Element>,
    ) -> &mut Service {
        let span = self.span();
        self.definition.services.push(Service {
            name: name.to_owned(),
            addresses: addresses.iter().map(|a| ip(a)).collect(),
            protocol: Protocol::Number(6),
            ports: match ports.is_empty() {
                true => Ports::Any,
                false => Ports::Ranges(ports.to_vec()),
            },
            keyed_by: KeyedBy::Destination,
            from: None,
            sequence,
            return_way: ReturnWay::Mirror,
            exit: None,
            clients: None,
            dscp: None,
            priority: 0,
            rate: None,
            acl: Vec::new(),
            acl_default: false,
            span,
        });
        self.definition.services.last_mut().unwrap()
    }
}

pub fn role(device: DeviceId) -> Role {
    Role {
        device,
        alternates: Vec::new(),
        open: false,
        pool: None,
    }
}

fn span(device: DeviceId) -> Span {
    Span {
        offset: 10_000 + device,
        len: 1,
    }
}

pub fn pass(device: DeviceId) -> Element {
    pool(device, &[])
}

pub fn pool(device: DeviceId, alternates: &[DeviceId]) -> Element {
    Element::Device {
        role: Role {
            device,
            alternates: alternates.to_vec(),
            open: false,
            pool: None,
        },
        enter: Side::Outside,
        port: None,
        then: None,
        tracking: None,
        dscp: None,
        span: span(device),
    }
}

pub fn entered(element: Element, side: Side) -> Element {
    match element {
        Element::Device {
            role,
            port,
            then,
            span,
            tracking,
            dscp,
            ..
        } => Element::Device {
            role,
            enter: side,
            port,
            then,
            tracking,
            dscp,
            span,
        },
        copy => copy,
    }
}

pub fn on_port(element: Element, port: u16) -> Element {
    match element {
        Element::Device {
            role,
            enter,
            then,
            span,
            tracking,
            dscp,
            ..
        } => Element::Device {
            role,
            enter,
            port: Some(port),
            then,
            tracking,
            dscp,
            span,
        },
        copy => copy,
    }
}

pub fn then(element: Element, addresses: &[&str], ports: Option<&[(u16, u16)]>) -> Element {
    match element {
        Element::Device {
            role,
            enter,
            port,
            span,
            tracking,
            dscp,
            ..
        } => Element::Device {
            role,
            enter,
            port,
            then: Some(Then {
                addresses: addresses.iter().map(|a| ip(a)).collect(),
                ports: ports.map(|p| Ports::Ranges(p.to_vec())),
            }),
            tracking,
            dscp,
            span,
        },
        copy => copy,
    }
}

pub fn copy(device: DeviceId, alerts: Alerts) -> Element {
    Element::Copy {
        role: role(device),
        alerts,
        directions: Directions::Both,
        tracking: None,
        dscp: None,
        span: span(device),
    }
}
