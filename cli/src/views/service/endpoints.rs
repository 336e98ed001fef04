//! Virtual services and exposed services: addresses, ports, and what is behind them.

use proffer_wire::v1;
use serde::Serialize;

use crate::output::{Answer, Column, Row, left, render, right};

/// One name with ports or an address of its own.
#[derive(Debug, Serialize)]
pub(crate) struct EndpointsView {
    name: String,
    /// IPv4; empty where it is headless.
    address: String,
    ports: Vec<PortView>,
    /// Those it leads to.
    services: Vec<String>,
    endpoints: Vec<EndpointView>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PortView {
    name: String,
    number: u32,
    protocol: String,
    /// On every host with an edge.
    published: Option<u32>,
}

#[derive(Debug, Serialize)]
struct EndpointView {
    id: String,
    address: String,
    /// The numbers there, in the order of the ports they serve.
    ports: Vec<u32>,
    agent_id: String,
    /// Whether edges find out by connecting whether it lives.
    probed: bool,
}

impl From<v1::VirtualServiceView> for EndpointsView {
    fn from(view: v1::VirtualServiceView) -> Self {
        let spec = view.spec.unwrap_or_default();
        let ports = spec.ports.into_iter().filter_map(|port| port.port);
        Self {
            name: spec.name,
            address: view.address,
            ports: ports.map(PortView::from).collect(),
            services: view.services,
            endpoints: view.endpoints.into_iter().map(EndpointView::from).collect(),
            problems: view.problems,
        }
    }
}

impl From<v1::DiscoveredPort> for PortView {
    fn from(port: v1::DiscoveredPort) -> Self {
        let protocol = port.protocol().as_str_name().trim_start_matches("PORT_");
        Self {
            protocol: protocol.to_ascii_lowercase(),
            name: port.name,
            number: port.number,
            published: port.published,
        }
    }
}

impl From<v1::Endpoint> for EndpointView {
    fn from(endpoint: v1::Endpoint) -> Self {
        Self {
            id: endpoint.id,
            address: endpoint.address,
            ports: endpoint.ports.into_iter().map(|port| port.number).collect(),
            agent_id: endpoint.agent_id,
            probed: endpoint.probe,
        }
    }
}

impl PortView {
    /// `80/http(http)`, `80/tcp->8080` where it is published.
    fn text(&self) -> String {
        let published = self
            .published
            .map_or_else(String::new, |port| format!(", published as {port}"));
        let name = match self.name.is_empty() {
            true => String::new(),
            false => format!(" {}", self.name),
        };
        format!("{}/{}{name}{published}", self.number, self.protocol)
    }
}

impl EndpointsView {
    fn ports_text(&self) -> String {
        let ports: Vec<_> = self.ports.iter().map(PortView::text).collect();
        ports.join("; ")
    }
}

impl Answer for EndpointsView {
    fn text(&self, width: usize) -> String {
        let address = if self.address.is_empty() {
            "no address"
        } else {
            &self.address
        };
        let head = format!("{}  {address}  {}\n", self.name, self.ports_text());
        let problems: String = self
            .problems
            .iter()
            .map(|problem| format!("- {problem}\n"))
            .collect();
        let rows: Vec<_> = self.endpoints.iter().map(Row::cells).collect();
        head + &problems + &render(EndpointView::COLUMNS, &rows, width)
    }
}

impl Row for EndpointView {
    const COLUMNS: &'static [Column] = &[
        left("ENDPOINT"),
        left("ADDRESS"),
        left("PORTS"),
        left("AGENT"),
        left("PROBED").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(u32::to_string).collect();
        vec![
            self.id.clone(),
            self.address.clone(),
            ports.join(","),
            self.agent_id.clone(),
            if self.probed { "yes" } else { "" }.to_owned(),
        ]
    }
}

impl Row for EndpointsView {
    const COLUMNS: &'static [Column] = &[
        left("NAME"),
        left("ADDRESS"),
        left("PORTS"),
        right("ENDPOINTS"),
        left("PROBLEM").if_any(),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.address.clone(),
            self.ports_text(),
            self.endpoints.len().to_string(),
            self.problems.first().cloned().unwrap_or_default(),
        ]
    }
}
