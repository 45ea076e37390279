{{/* What somebody who installs with these values should know, as text; empty if there is nothing. */}}
{{- define "weir.warnings" -}}
{{- $v := .Values -}}
{{- if not $v.image.registry }}
WARNING: image.registry is empty, so the nodes must have the images already ({{ include "weir.image" (list . $v.broker.image) }}, …).
  Pods in ImagePullBackOff or ErrImageNeverPull do not: load the images, or push them and set image.registry.
{{- end }}
{{- if and $v.broker.enabled (not $v.broker.persistence.enabled) }}
WARNING: broker.persistence is off: what was acknowledged is gone with the pod.
{{- end }}
{{- if and $v.broker.enabled (gt (int $v.broker.replicas) 1) }}
WARNING: {{ int $v.broker.replicas }} brokers share only the partitions behind /produce?topic=. Topics of the native API are each
  broker's own; the service leads to the first broker, so agents, dashboard and clients meet there.
{{- end }}
{{- $exposed := list }}
{{- if and $v.ui.enabled (or $v.ui.ingress.enabled $v.ui.httpRoute.enabled (ne $v.ui.service.type "ClusterIP")) }}
{{- $exposed = append $exposed "the dashboard" }}
{{- end }}
{{- if and $v.broker.enabled (ne $v.broker.service.type "ClusterIP") }}
{{- $exposed = append $exposed "the broker" }}
{{- end }}
{{- with $exposed }}
WARNING: {{ join " and " . }} can be reached from outside the cluster, and Weir has no authentication yet: whoever
  reaches it may see{{ if has "the broker" . }}, and write,{{ end }} everything. Let something in front ask who it is.
{{- end }}
{{- if and $v.agent.enabled (ne $v.agent.access "minimal") (not $v.agent.namespace.name) }}
NOTE: the agents mount parts of their nodes, which Pod Security "baseline" and "restricted" refuse. If no agent
  starts, label the namespace pod-security.kubernetes.io/enforce=privileged, give the agents a namespace
  of their own (agent.namespace), or set agent.access to minimal.
{{- end }}
{{- if and $v.monitoring.rules.enabled (not $v.monitoring.serviceMonitor.enabled) }}
NOTE: the alerts refer to the jobs weir-broker and weir-ui; without monitoring.serviceMonitor something else must
  scrape them under these names.
{{- end }}
{{- end -}}
