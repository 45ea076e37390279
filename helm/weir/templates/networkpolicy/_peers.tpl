{{/* The pods of a component as a peer, wherever they are: (list $ "agent"). */}}
{{- define "weir.peer" -}}
{{- $root := index . 0 -}}
{{- $namespace := eq (index . 1) "agent" | ternary (include "weir.agent.namespace" $root) (include "weir.namespace" $root) -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ toYaml $namespace }}
  podSelector:
    matchLabels:
      {{- include "weir.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/*
DNS, wherever it is: some clusters have a cache on the node's own address. Behind the service's port
53, OpenShift's servers listen at 5353, and that is the port that counts.
*/}}
{{- define "weir.egress.dns" -}}
- ports:
    {{- range $port := list 53 5353 }}
    - port: {{ $port }}
      protocol: UDP
    - port: {{ $port }}
      protocol: TCP
    {{- end }}
{{- end -}}

{{/* The broker that a component talks to: (list $ "ui"). Elsewhere, only the port is known. */}}
{{- define "weir.egress.broker" -}}
{{- $root := index . 0 -}}
{{- $url := include "weir.brokerUrl" . | urlParse -}}
{{- if (index $root.Values (index . 1)).brokerUrl -}}
- ports:
    - port: {{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default "80" }}
      protocol: TCP
{{- else -}}
- to:
    {{- include "weir.peer" (list $root "broker") | nindent 4 }}
  ports:
    - port: {{ int $root.Values.broker.ports.http }}
      protocol: TCP
{{- end -}}
{{- end -}}
