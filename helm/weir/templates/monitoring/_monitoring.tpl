{{/* Where an object of the section monitoring is: (list $ .Values.monitoring.rules). */}}
{{- define "weir.monitoring.namespace" -}}
{{- default (include "weir.namespace" (index . 0)) (index . 1).namespace -}}
{{- end -}}

{{/* What all endpoints of monitors have alike: (list .Values.monitoring.podMonitor). */}}
{{- define "weir.monitoring.endpoint" -}}
{{- $monitor := index . 0 -}}
path: /metrics
{{- with $monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with $monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
