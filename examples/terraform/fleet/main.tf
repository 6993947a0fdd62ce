# As many servers as the map has entries. Add one and apply: it gets keys, addresses and user data of its own, and nothing
# changes for the others.

terraform {
  required_version = ">= 1.5"

  required_providers {
    hetznat = {
      source  = "hetznat/hetznat"
      version = "~> 0.1"
    }
  }
}

variable "state" {
  description = "The state document that the translator on the Raspberry Pi reads."
  type        = string
  default     = "/var/lib/hetznat/state.json"
}

variable "servers" {
  description = "The servers by name. Removing one takes its access away and destroys it."
  type = map(object({
    type     = optional(string, "cax11")
    location = optional(string, "fsn1")
  }))
  default = {
    web = {}
    db  = { type = "cax21" }
    ci  = { location = "hel1" }
  }
}

provider "hetznat" {
  state = var.state
}

# The Raspberry Pi. With `public_key = "…"` from `hetznat-translator keygen`, its private key never leaves it.
resource "hetznat_gateway" "home" {
  name = "home"

  # Two servers outside see one socket at the same port, and no second NAT stands behind the gateway's.
  egress = "shared"

  policy {
    denied_ports = ["tcp/25", "tcp/465"]
  }

  # For servers with dns = "gateway". No change of this block touches a server.
  dns64 {
    upstreams = ["tls://1.1.1.1#cloudflare-dns.com", "tls://9.9.9.9#dns.quad9.net"]
  }
}

resource "hetznat_peer" "server" {
  for_each = var.servers
  gateway  = hetznat_gateway.home.link
  name     = each.key
  endpoint = hcloud_primary_ip.v6[each.key].ip_network

  # What else the servers shall do at their first boot; packages and scripts wait for the tunnel.
  extra_user_data = <<-END
    #cloud-config
    packages: [git]
    runcmd:
      - git clone https://github.com/example/setup /opt/setup
  END
}

output "tunnel_addresses" {
  description = "The servers' IPv4 addresses inside the tunnel; kept for the life of a peer."
  value       = { for name, peer in hetznat_peer.server : name => peer.ipv4 }
}
