{{/* All brokers in the order of their index, as they know each other. */}}
{{- define "weir.broker.peers" -}}
{{- $name := include "weir.componentName" (list . "broker") -}}
{{- $peers := list -}}
{{- range $index := until (int .Values.broker.replicas) -}}
{{- $host := printf "%s-%d.%s-headless.%s.svc" $name $index $name (include "weir.namespace" $) -}}
{{- $peers = append $peers (printf "%s:%d" $host (int $.Values.broker.ports.http)) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}

{{/* The volume with the authorities that vouch for https targets, if there is one. */}}
{{- define "weir.broker.caVolume" -}}
{{- with .Values.broker.caCertificates -}}
{{- if .configMap -}}
- name: push-ca
  configMap:
    name: {{ toYaml .configMap }}
{{- else if .secret -}}
- name: push-ca
  secret:
    secretName: {{ toYaml .secret }}
{{- end -}}
{{- end -}}
{{- end -}}
