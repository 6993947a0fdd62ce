# Any number of servers with the same user data: a node pool, or what an autoscaler makes. Nothing of hetznat is per server: each
# makes its own key at its first boot, and the gateway finds it by the group's labels. The translator on the Raspberry Pi needs
# a read-only Hetzner token of its own (--hetzner-token).

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
  description = "The state document that the translator on the Raspberry Pi reads. With a group in it, it is a secret."
  type        = string
  default     = "/var/lib/hetznat/state.json"
}

variable "workers" {
  description = "How many servers there are."
  type        = number
  default     = 3
}

provider "hetznat" {
  state = var.state
}

resource "hetznat_gateway" "home" {
  name = "home"
}

resource "hetznat_peer_group" "workers" {
  gateway = hetznat_gateway.home.link
  name    = "workers"

  # Programs on the servers need not know the group's secret, which is in their user data.
  metadata_guard = true

  # For all servers of the group; packages and scripts wait for the tunnel.
  extra_user_data = <<-END
    #cloud-config
    packages: [nftables, git]
    runcmd:
      - git clone https://github.com/example/worker /opt/worker
  END
}

# What an autoscaler's configuration needs, if that makes the servers: one user data for all, and the labels to find them by.
output "workers" {
  value     = { user_data = hetznat_peer_group.workers.user_data, labels = hetznat_peer_group.workers.labels }
  sensitive = true
}
